use spectask_protocol::DocumentKind;

use super::TASKS;
use crate::spec::{
    Progress, TickError, TickState, digest, masked_digest, progress, tick, tick_task,
};

#[test]
fn ticks_one_box() {
    let new = tick(TASKS, "1.1", &digest(TASKS), TickState::Done).unwrap();
    assert_eq!(new, TASKS.replace("- [ ] 1.1", "- [x] 1.1"));
    let started = tick(&new, "1.1", &digest(&new), TickState::InProgress).unwrap();
    assert_eq!(started, TASKS.replace("- [ ] 1.1", "- [-] 1.1"));
    assert_eq!(
        tick(&new, "1.1", &digest(&new), TickState::Open).unwrap(),
        TASKS
    );
    assert_eq!(
        tick(&new, "1.1", &digest(&new), TickState::Done).unwrap(),
        new
    );
}

#[test]
fn ticks_a_task_with_its_required_children() {
    let new = tick_task(TASKS, "1", &digest(TASKS)).unwrap();
    let expected = TASKS
        .replace("- [ ] 1. ", "- [x] 1. ")
        .replace("- [ ] 1.1", "- [x] 1.1");
    assert_eq!(new, expected);
    assert_eq!(progress(TASKS), Progress { done: 0, total: 3 });
    assert_eq!(progress(&new), Progress { done: 1, total: 3 });
    let plain = "- [ ] First\r\n  - [ ] part\r\n- [ ] Second";
    assert_eq!(
        tick_task(plain, "1", &digest(plain)).unwrap(),
        "- [x] First\r\n  - [x] part\r\n- [ ] Second"
    );
    assert_eq!(
        tick(plain, "2", &digest(plain), TickState::Done).unwrap(),
        "- [ ] First\r\n  - [ ] part\r\n- [x] Second"
    );
}

#[test]
fn refuses_what_it_cannot_do_safely() {
    let stale = tick(TASKS, "1.1", &digest("other"), TickState::Done);
    assert!(matches!(stale, Err(TickError::Changed { .. })));
    assert!(matches!(
        tick_task(TASKS, "1", ""),
        Err(TickError::Changed { .. })
    ));
    let missing = tick(TASKS, "9", &digest(TASKS), TickState::Done);
    assert_eq!(missing, Err(TickError::NotFound("9".into())));
    assert_eq!(
        tick_task(TASKS, "1.1", &digest(TASKS)),
        Err(TickError::NotFound("1.1".into()))
    );
    let twice = "- [ ] 1. A\n- [ ] 1. B\n";
    assert_eq!(
        tick(twice, "1", &digest(twice), TickState::Done),
        Err(TickError::Ambiguous("1".into()))
    );
    assert_eq!(
        tick_task(twice, "1", &digest(twice)),
        Err(TickError::Ambiguous("1".into()))
    );
}

#[test]
fn digests() {
    assert_eq!(
        digest(""),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    let ticked = TASKS.replace("- [ ] 2.", "- [x] 2.");
    assert_ne!(digest(TASKS), digest(&ticked));
    assert_eq!(
        masked_digest(DocumentKind::Tasks, TASKS),
        masked_digest(DocumentKind::Tasks, &ticked)
    );
    let noted = TASKS.replace("- [ ] this is", "- [x] this is");
    assert_ne!(
        masked_digest(DocumentKind::Tasks, TASKS),
        masked_digest(DocumentKind::Tasks, &noted)
    );
    assert_ne!(
        masked_digest(DocumentKind::Design, TASKS),
        masked_digest(DocumentKind::Design, &ticked)
    );
}
