//! What is open between editor and daemon: a pure machine, events in, frames out.
//!
//! Frames of the editor stand in a queue in the order in which they came. The daemon pulls them; a
//! request stays until it is answered, and a cancellation as long as what it cancels. When a daemon
//! has gone, the next one is given all that stands, from the beginning: what went out before is marked.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    rc::Rc,
    time::{Duration, Instant},
};

use serde_json::value::RawValue;
use spectask_protocol::{Failure, FailureKind, shim::At};

use super::{
    answers,
    frame::{self, Asks, Frame, Id, Kind, Tells},
    streams::Streams,
};

/// How long a request waits once it is known why no daemon answers.
const PATIENCE: Duration = Duration::from_secs(20);
/// The same for what opens a thread: an error there is final for the view.
const PATIENCE_TO_OPEN: Duration = Duration::from_secs(60);
/// So many bytes of notifications that the shim does not know may wait for a daemon.
const OTHERS_KEPT: usize = 64 << 20;

/// A frame for the editor.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ForEditor {
    /// One line.
    pub(super) text: Box<str>,
    /// Where it stands in a session's stream.
    pub(super) at: Option<At>,
}

/// A frame for the daemon.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ForDaemon {
    /// The number of a request.
    pub(super) number: Option<u64>,
    /// Whether a daemon before may have got it.
    pub(super) again: bool,
    /// The frame.
    pub(super) text: Rc<str>,
}

/// Where the daemon is.
#[derive(Debug)]
enum Daemon {
    /// Not there since then; and why, once known.
    Away(Instant, Option<Failure>),
    /// There.
    Attached,
    /// Sent away by a person, with that answer for everything.
    Detached(Failure),
}

#[derive(Debug)]
struct Entry {
    text: Rc<str>,
    what: What,
    came: Instant,
    /// Whether a daemon may have got it.
    sent: bool,
    /// Whether the daemon that is there may have got it as something new.
    fresh: bool,
}

#[derive(Debug)]
enum What {
    Request { id: Id, number: u64, asks: Asks },
    Cancel(String),
    CancelRequest(Id),
    Response,
    Other,
}

/// Everything that is open.
#[derive(Debug)]
pub(super) struct Pending {
    daemon: Daemon,
    /// The editor's frames, by the place at which they came.
    entries: BTreeMap<u64, Entry>,
    /// The place of the next one.
    end: u64,
    /// The first place that the daemon did not get.
    cursor: u64,
    numbers: u64,
    /// Where the editor's requests stand.
    requests: HashMap<Id, VecDeque<u64>>,
    /// Where cancellations stand.
    cancels: Vec<u64>,
    /// How many bytes of unknown notifications stand.
    others: usize,
    /// Requests of the daemon that are open at the editor.
    asked: HashMap<Id, u32>,
    /// Requests of daemons before whose answers nobody waits for.
    withdrawn: HashMap<Id, u32>,
    initialize: Option<Box<RawValue>>,
    /// The open sessions.
    pub(super) streams: Streams,
    out: Vec<ForEditor>,
}

impl Pending {
    /// Nothing open, no daemon yet.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            daemon: Daemon::Away(now, None),
            entries: BTreeMap::new(),
            end: 0,
            cursor: 0,
            numbers: 0,
            requests: HashMap::new(),
            cancels: Vec::new(),
            others: 0,
            asked: HashMap::new(),
            withdrawn: HashMap::new(),
            initialize: None,
            streams: Streams::default(),
            out: Vec::new(),
        }
    }

    /// Whether a daemon is wanted.
    pub(super) const fn wants_daemon(&self) -> bool {
        matches!(self.daemon, Daemon::Away(..))
    }

    /// The parameters with which the editor initialised.
    pub(super) fn initialize(&self) -> Option<Box<RawValue>> {
        self.initialize.clone()
    }

    /// What there is for the editor.
    pub(super) fn take_out(&mut self) -> Vec<ForEditor> {
        std::mem::take(&mut self.out)
    }

    /// A line of the editor.
    pub(super) fn line(&mut self, line: &[u8], now: Instant) {
        match Frame::read(line) {
            Ok(Some(frame)) => self.frame(frame, now),
            Ok(None) => {}
            Err(error) => self.say(answers::malformed(&error)),
        }
    }

    /// A line of the editor that was longer than the limit.
    pub(super) fn too_long(&mut self) {
        let why = frame::Malformed::Unreadable("the line is too long".to_owned());
        self.say(answers::malformed(&why));
    }

    fn frame(&mut self, frame: Frame, now: Instant) {
        let what = match frame.kind {
            Kind::Request(id, asks) => {
                if let Daemon::Detached(failure) = &self.daemon {
                    if !asks.attaches() {
                        let answer = answers::unreachable(&id, failure);
                        return self.say(answer);
                    }
                    self.daemon = Daemon::Away(now, None);
                }
                self.numbers += 1;
                self.requests
                    .entry(id.clone())
                    .or_default()
                    .push_back(self.end);
                What::Request {
                    id,
                    number: self.numbers,
                    asks,
                }
            }
            Kind::Notification(_) if matches!(self.daemon, Daemon::Detached(_)) => return,
            Kind::Notification(Tells::Cancel(session)) => What::Cancel(session),
            Kind::Notification(Tells::CancelRequest(id)) => What::CancelRequest(id),
            Kind::Notification(Tells::Other) => {
                if self.others >= OTHERS_KEPT {
                    return;
                }
                What::Other
            }
            // A complaint about something that has no id.
            Kind::Response(Id::Null, _) if !self.asked.contains_key(&Id::Null) => What::Other,
            Kind::Response(id, _) => {
                if forget(&mut self.withdrawn, &id) || !forget(&mut self.asked, &id) {
                    return;
                }
                What::Response
            }
        };
        match what {
            What::Cancel(_) | What::CancelRequest(_) => self.cancels.push(self.end),
            What::Other => self.others += frame.text.len(),
            What::Request { .. } | What::Response => {}
        }
        let entry = Entry {
            text: frame.text,
            what,
            came: now,
            sent: false,
            fresh: false,
        };
        self.entries.insert(self.end, entry);
        self.end += 1;
    }

    /// What the daemon gets next, if it is there.
    pub(super) fn next(&mut self) -> Option<ForDaemon> {
        if !matches!(self.daemon, Daemon::Attached) {
            return None;
        }
        let (&place, entry) = self.entries.range_mut(self.cursor..).next()?;
        self.cursor = place + 1;
        let again = std::mem::replace(&mut entry.sent, true);
        entry.fresh = !again;
        let number = match entry.what {
            What::Request { number, .. } => Some(number),
            _ => None,
        };
        let text = if number.is_some() || self.stays(place) {
            self.entries.get(&place)?.text.clone()
        } else {
            self.remove(place)?.text
        };
        Some(ForDaemon {
            number,
            again,
            text,
        })
    }

    /// Whether the daemon did not get everything.
    pub(super) fn has_unsent(&self) -> bool {
        self.entries.range(self.cursor..).next().is_some()
    }

    /// Whether something stands for a daemon to come: what it cancels is open.
    fn stays(&self, place: u64) -> bool {
        let Some(entry) = self.entries.get(&place) else {
            return false;
        };
        let mut before = self.entries.range(..place).map(|(_, entry)| &entry.what);
        match &entry.what {
            What::Request { .. } => true,
            What::Cancel(session) => before.any(|what| {
                matches!(what, What::Request { asks: Asks::Prompt(Some(prompted)), .. } if prompted == session)
            }),
            What::CancelRequest(id) => self
                .requests
                .get(id)
                .is_some_and(|places| places.iter().any(|request| *request < place)),
            What::Response | What::Other => false,
        }
    }

    fn remove(&mut self, place: u64) -> Option<Entry> {
        let entry = self.entries.remove(&place)?;
        match &entry.what {
            What::Request { id, .. } => {
                if let Some(places) = self.requests.get_mut(id) {
                    places.retain(|other| *other != place);
                    if places.is_empty() {
                        self.requests.remove(id);
                    }
                }
            }
            What::Cancel(_) | What::CancelRequest(_) => {
                self.cancels.retain(|other| *other != place);
            }
            What::Other => self.others = self.others.saturating_sub(entry.text.len()),
            What::Response => {}
        }
        Some(entry)
    }

    /// Removes a request that is answered, and the cancellations that went out for it.
    fn answered(&mut self, place: u64) -> Option<Entry> {
        let entry = self.remove(place);
        for cancel in self.cancels.clone() {
            let sent = self.entries.get(&cancel).is_some_and(|entry| entry.sent);
            if sent && !self.stays(cancel) {
                self.remove(cancel);
            }
        }
        entry
    }

    /// A frame of the daemon.
    pub(super) fn heard(&mut self, at: Option<At>, text: Box<str>) {
        let is_new = at.as_ref().is_none_or(|at| self.streams.is_new(at));
        match frame::kind(&text) {
            Ok(Kind::Response(id, good)) if id != Id::Null || self.requests.contains_key(&id) => {
                let place = self.requests.get(&id).and_then(|places| places.front());
                let sent = |place: &u64| self.entries.get(place).is_some_and(|entry| entry.sent);
                let Some(place) = place.copied().filter(sent) else {
                    // It was answered in the daemon's place.
                    return;
                };
                let entry = self.answered(place);
                if let Some(entry) = entry.filter(|_| good)
                    && matches!(
                        entry.what,
                        What::Request {
                            asks: Asks::Initialize,
                            ..
                        }
                    )
                {
                    self.initialize = frame::params(&entry.text);
                }
            }
            // A permission that is asked for again stands where it stood.
            Ok(Kind::Request(id, _)) => *self.asked.entry(id).or_default() += 1,
            Ok(Kind::Response(..) | Kind::Notification(_)) | Err(_) if !is_new => return,
            // A broken frame is the daemon's fault, and its text is JSON: it goes on as it is.
            Ok(Kind::Response(..) | Kind::Notification(_)) | Err(_) => {}
        }
        self.out.push(ForEditor { text, at });
    }

    /// A session is open. All of it comes again if the editor asked this daemon to load it.
    pub(super) fn opened(&mut self, session: spectask_protocol::WorkSessionId) {
        let afresh = self.entries.values().any(|entry| {
            entry.fresh
                && matches!(&entry.what, What::Request { asks: Asks::Load(Some(loaded)), .. } if *loaded == session.as_str())
        });
        self.streams.opened(session, afresh);
    }

    /// The daemon is there.
    pub(super) fn attached(&mut self) {
        self.daemon = Daemon::Attached;
        self.cursor = 0;
    }

    /// The daemon has gone: what stood open at the editor is taken back.
    pub(super) fn lost(&mut self, now: Instant) {
        if !matches!(self.daemon, Daemon::Attached) {
            return;
        }
        self.daemon = Daemon::Away(now, None);
        self.cursor = self.end;
        let asked: Vec<_> = self.asked.drain().collect();
        for (id, times) in asked {
            self.say(answers::withdraw(&id));
            *self.withdrawn.entry(id).or_default() += times;
        }
        // Answers to it are for nobody else.
        let responses: Vec<u64> = self.places(|what| matches!(what, What::Response));
        for place in responses {
            self.remove(place);
        }
        for entry in self.entries.values_mut() {
            entry.fresh = false;
        }
    }

    /// No daemon can be had, for now: why.
    pub(super) fn failed(&mut self, failure: Failure) {
        if let Daemon::Away(_, why) = &mut self.daemon {
            *why = Some(failure);
        }
    }

    /// A person detached this editor: everything is answered, and the daemon left alone.
    pub(super) fn detached(&mut self, text: String, now: Instant) {
        self.lost(now);
        let failure = Failure::new(FailureKind::Unavailable, text);
        for place in self.places(|_| true) {
            if let Some(Entry {
                what: What::Request { id, .. },
                ..
            }) = self.remove(place)
            {
                self.say(answers::unreachable(&id, &failure));
            }
        }
        self.daemon = Daemon::Detached(failure);
    }

    /// When a request has waited long enough, if it is known why.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let Daemon::Away(since, Some(_)) = &self.daemon else {
            return None;
        };
        self.entries
            .values()
            .filter_map(|entry| entry.waits_until(*since))
            .min()
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Instant) {
        let Daemon::Away(since, Some(failure)) = &self.daemon else {
            return;
        };
        let (since, failure) = (*since, failure.clone());
        let late = |entry: &Entry| entry.waits_until(since).is_some_and(|until| until <= now);
        let late = self.entries.iter().filter(|(_, entry)| late(entry));
        let late: Vec<u64> = late.map(|(place, _)| *place).collect();
        for place in late {
            if let Some(Entry {
                what: What::Request { id, .. },
                ..
            }) = self.answered(place)
            {
                self.say(answers::unreachable(&id, &failure));
            }
        }
    }

    fn places(&self, wanted: impl Fn(&What) -> bool) -> Vec<u64> {
        self.entries
            .iter()
            .filter(|(_, entry)| wanted(&entry.what))
            .map(|(place, _)| *place)
            .collect()
    }

    fn say(&mut self, text: String) {
        self.out.push(ForEditor {
            text: text.into(),
            at: None,
        });
    }
}

impl Entry {
    fn waits_until(&self, away: Instant) -> Option<Instant> {
        let What::Request { asks, .. } = &self.what else {
            return None;
        };
        let patience = if asks.attaches() {
            PATIENCE_TO_OPEN
        } else {
            PATIENCE
        };
        Some(self.came.max(away) + patience)
    }
}

/// Takes one off; whether there was one.
fn forget(ids: &mut HashMap<Id, u32>, id: &Id) -> bool {
    let Some(times) = ids.get_mut(id) else {
        return false;
    };
    *times -= 1;
    if *times == 0 {
        ids.remove(id);
    }
    true
}
