//! The loop that moves frames, and the daemon's coming and going.

use std::{
    cell::Cell,
    mem,
    pin::Pin,
    process,
    rc::Rc,
    time::{Duration, Instant},
};

use spectask_protocol::{
    Failure,
    shim::{Hello, ToDaemon, ToShim, VERSION},
};

use super::{
    super::launch,
    Shim,
    editor::{self, Input, Output, is_passing, maybe},
    lines::Line,
    link::{self, Link, Trouble},
    pending::Pending,
    streams::Acks,
};

/// The first pause before the daemon is looked for again, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// The pause after a daemon has refused.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);
/// A connection that lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(5);
/// So much may wait for an editor that reads slowly before the daemon has to wait.
const OUTPUT_LIMIT: usize = 256 << 10;
/// So much is handed to the daemon at a time; the rest stays where nothing of it is lost.
const LINK_LIMIT: usize = 64 << 10;
/// What the editor wrote last is passed on for so long after it has closed the pipe.
const FAREWELL: Duration = Duration::from_millis(100);

type Attempt<'a> = Pin<Box<dyn Future<Output = Result<Option<Link>, Trouble>> + 'a>>;

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    End,
}

pub(super) struct Pipe<'a> {
    shim: &'a Shim<'a>,
    input: Input,
    output: Output,
    pending: Pending,
    acks: Acks,
    link: Option<Link>,
    since: Instant,
    attempt: Option<Attempt<'a>>,
    /// How many connections were greeted.
    generation: Rc<Cell<u32>>,
    /// Whether the next attempt is to replace the daemon that runs.
    outdated: bool,
    retry: Option<Instant>,
    pause: Duration,
    said: Option<String>,
}

impl<'a> Pipe<'a> {
    pub(super) fn new(shim: &'a Shim<'a>) -> Self {
        let now = Instant::now();
        Self {
            shim,
            input: editor::input(),
            output: editor::output(),
            pending: Pending::new(now),
            acks: Acks::default(),
            link: None,
            since: now,
            attempt: None,
            generation: Rc::default(),
            outdated: false,
            retry: None,
            pause: PAUSES.0,
            said: None,
        }
    }

    /// Runs until the editor has closed one of its pipes.
    pub(super) async fn run(mut self) {
        while self.step().await == Flow::On {}
        // What it wrote last may be a cancellation.
        let _ = tokio::time::timeout(FAREWELL, self.farewell()).await;
    }

    async fn step(&mut self) -> Flow {
        self.begin();
        self.pump();
        let wake = [self.retry, self.acks.deadline(), self.pending.deadline()];
        let wake = wake.into_iter().flatten().min();
        let read_on = self.output.waiting() < OUTPUT_LIMIT;
        let (reader, writer) = match &mut self.link {
            Some(link) => (
                Some(&mut link.reader).filter(|_| read_on),
                Some(&mut link.writer).filter(|writer| !writer.is_idle()),
            ),
            None => (None, None),
        };
        tokio::select! {
            filled = self.input.fill() => match filled {
                Ok(0) => return Flow::End,
                Ok(_) => self.read_editor(),
                Err(error) if is_passing(&error) => tokio::time::sleep(PAUSES.0).await,
                Err(_) => return Flow::End,
            },
            written = self.output.write(), if !self.output.is_idle() => match written {
                Ok(marks) if self.link.is_some() => {
                    let now = Instant::now();
                    marks.into_iter().for_each(|at| self.acks.written(at, now));
                }
                // The next daemon is told when it is greeted.
                Ok(_) => {}
                Err(error) if is_passing(&error) => tokio::time::sleep(PAUSES.0).await,
                Err(_) => return Flow::End,
            },
            filled = maybe(reader.map(super::lines::Lines::fill)) => match filled {
                Ok(read) if read > 0 => self.read_daemon(),
                _ => self.lose(),
            },
            written = maybe(writer.map(super::lines::Batches::write)) => {
                if written.is_err() {
                    self.lose();
                }
            },
            outcome = maybe(self.attempt.as_mut()) => {
                self.attempt = None;
                self.tried(outcome);
            }
            () = maybe(wake.map(|wake| tokio::time::sleep_until(wake.into()))) => {
                self.pending.tick(Instant::now());
            }
        }
        Flow::On
    }

    /// Looks for the daemon when it is time.
    fn begin(&mut self) {
        let wanted = self.link.is_none() && self.attempt.is_none() && self.pending.wants_daemon();
        if !wanted || self.retry.is_some_and(|retry| Instant::now() < retry) {
            return;
        }
        self.retry = None;
        let (paths, cwd) = match self.shim.place() {
            Ok(place) => place,
            Err(error) => return self.tried(Err(error.into())),
        };
        if mem::take(&mut self.outdated) {
            let replace = async move { link::replace(&paths).await.map(|()| None) };
            self.attempt = Some(Box::pin(replace));
            return;
        }
        let hello = Hello {
            version: VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            instance: self.shim.instance.clone(),
            pid: process::id(),
            cwd,
            entry: self.shim.entry.clone(),
            environment: self.shim.environment.clone(),
            generation: 0,
            initialize: self.pending.initialize(),
            sessions: self.pending.streams.all(),
        };
        let generation = Rc::clone(&self.generation);
        self.attempt = Some(Box::pin(async move {
            link::connect(&paths, hello, &generation).await.map(Some)
        }));
    }

    fn tried(&mut self, outcome: Result<Option<Link>, Trouble>) {
        match outcome {
            Ok(Some(link)) => {
                self.link = Some(link);
                self.since = Instant::now();
                self.pending.attached();
                if self.said.take().is_some() {
                    launch::say("spectask acp: the daemon answers again");
                }
                // Frames may have come with the greeting.
                self.read_daemon();
            }
            Ok(None) => {}
            Err(Trouble::Passing(failure)) => {
                self.failed(failure);
                self.retry = Some(Instant::now() + self.pause);
                self.pause = (self.pause * 2).min(PAUSES.1);
            }
            Err(Trouble::Refused(failure)) => {
                self.failed(failure);
                self.retry = Some(Instant::now() + REFUSED_PAUSE);
            }
            Err(Trouble::Outdated(failure)) => {
                self.failed(failure);
                self.outdated = true;
                self.retry = Some(Instant::now() + self.pause);
                self.pause = (self.pause * 2).min(PAUSES.1);
            }
        }
    }

    fn failed(&mut self, failure: Failure) {
        if self.said.as_ref() != Some(&failure.message) {
            let hint = failure.hint.as_deref().unwrap_or_default();
            launch::say(&format!("spectask acp: {}\n{hint}", failure.message));
            self.said = Some(failure.message.clone());
        }
        self.pending.failed(failure);
    }

    /// The daemon has gone.
    fn lose(&mut self) {
        self.link = None;
        let now = Instant::now();
        self.pending.lost(now);
        drop(self.acks.clear());
        // One that dies as soon as it lives is not started again without a rest.
        if now.duration_since(self.since) >= GOOD {
            self.pause = PAUSES.0;
        }
        self.retry = Some(now + self.pause);
        self.pause = (self.pause * 2).min(PAUSES.1);
    }

    fn read_editor(&mut self) {
        let now = Instant::now();
        while let Some(line) = self.input.take() {
            match line {
                Line::Whole(line) => self.pending.line(line, now),
                Line::TooLong => self.pending.too_long(),
            }
        }
    }

    fn read_daemon(&mut self) {
        while let Some(link) = &mut self.link {
            let line = match link.reader.take() {
                None => return,
                Some(Line::TooLong) => return self.lose(),
                Some(Line::Whole(line)) => serde_json::from_slice(line),
            };
            match line {
                Ok(line) => self.heard(line),
                Err(error) => launch::say(&format!(
                    "spectask acp: a line of the daemon cannot be read: {error}"
                )),
            }
        }
    }

    fn heard(&mut self, line: ToShim) {
        match line {
            ToShim::Frame { at, frame } => self.pending.heard(at, frame.into()),
            ToShim::Opened { session } => self.pending.opened(session),
            ToShim::Closed { session } => self.pending.streams.closed(&session),
            ToShim::Detached { text } => {
                self.pending.detached(text, Instant::now());
                self.link = None;
                self.retry = None;
                drop(self.acks.clear());
            }
            ToShim::Refused { failure } => {
                self.lose();
                self.tried(Err(Trouble::Refused(failure)));
            }
            ToShim::Welcome { .. } => {}
        }
    }

    /// Hands over what there is.
    fn pump(&mut self) {
        if let Some(link) = &mut self.link {
            while link.writer.waiting() < LINK_LIMIT
                && let Some(frame) = self.pending.next()
            {
                let number = frame.number.map(|number| format!("\"number\":{number},"));
                let again = if frame.again { "\"again\":true," } else { "" };
                link.writer.put(
                    &[
                        "{\"frame\":{",
                        number.as_deref().unwrap_or_default(),
                        again,
                        "\"frame\":",
                        &frame.text,
                        "}}",
                    ],
                    None,
                );
            }
            for at in self.acks.take(Instant::now()) {
                let (session, index) = (at.session, at.index);
                let ack = serde_json::to_string(&ToDaemon::Ack { session, index });
                link.writer.put(&[ack.as_deref().unwrap_or("{}")], None);
            }
        }
        for frame in self.pending.take_out() {
            self.output.put(&[&frame.text], frame.at);
        }
    }

    async fn farewell(&mut self) {
        let rest = self.input.rest().to_vec();
        self.pending.line(&rest, Instant::now());
        if let Some(attempt) = self.attempt.take()
            && self.pending.has_unsent()
        {
            let outcome = attempt.await;
            self.tried(outcome);
        }
        loop {
            self.pump();
            if let Some(link) = self.link.as_mut().filter(|link| !link.writer.is_idle()) {
                if link.writer.write().await.is_err() {
                    self.link = None;
                }
            } else if self.output.is_idle() || self.output.write().await.is_err() {
                return;
            }
        }
    }
}
