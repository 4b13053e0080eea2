//! Ends connections that only wait: a head that does not come, a keep-alive nobody uses, a reader who does not read.
//!
//! hyper's timers cost something for every request. Here a request costs two stores, and once a second a sweep over
//! the thread's connections finds those whose time is over.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use hyper::rt::{Read, ReadBufCursor, Write};

/// How often the sweep runs.
const SWEEP: Duration = Duration::from_secs(1);
/// How long a request's head may take from its first byte, and a new connection to its first byte, in sweeps.
const HEAD_SWEEPS_MAX: u32 = 10;
/// How long a connection may be idle between two requests, in sweeps.
const IDLE_SWEEPS_MAX: u32 = 75;
/// How long a client may leave a response unread, in sweeps.
const STALL_SWEEPS_MAX: u32 = 30;

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// The first request, or the rest of one that has begun.
    Head,
    /// The next request.
    Idle,
    /// Us.
    Nothing,
}

/// The state of one connection, kept by its reads, its writes and its requests.
#[derive(Debug)]
pub(super) struct Watch {
    number: u64,
    waiting: Cell<Waiting>,
    /// Sweeps since `waiting` last changed or, when idle, since the last byte.
    waited: Cell<u32>,
    requests: Cell<u32>,
    is_multiplexed: Cell<bool>,
    is_stalled: Cell<bool>,
    stalled_for: Cell<u32>,
    is_doomed: Cell<bool>,
    is_draining: Cell<bool>,
    /// Whether the first request is the last.
    answers_one: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Watch {
    /// Notes that a request's head is complete. The connection waits for us until the guard is dropped.
    pub(super) fn begin_request(self: &Rc<Self>, is_multiplexed: bool) -> Busy {
        self.is_multiplexed.set(is_multiplexed);
        if self.answers_one.get() {
            self.is_draining.set(true);
        }
        self.requests.set(self.requests.get() + 1);
        self.waiting.set(Waiting::Nothing);
        Busy(Rc::clone(self))
    }

    /// Has the connection end after its first request, or, when it is multiplexed, those that come along with it.
    pub(super) fn answer_one(&self) {
        self.answers_one.set(true);
    }

    /// Whether the connection is to end after the requests it has begun.
    pub(super) const fn is_draining(&self) -> bool {
        self.is_draining.get()
    }

    /// Notes that bytes have arrived.
    pub(super) fn note_read(&self) {
        match self.waiting.get() {
            // On a multiplexed connection bytes need not be a head, and its own limits bound each head.
            Waiting::Idle if self.is_multiplexed.get() => self.waited.set(0),
            Waiting::Idle => self.wait_for(Waiting::Head),
            Waiting::Head | Waiting::Nothing => {}
        }
    }

    /// Notes whether the client takes what is written.
    pub(super) fn note_write(&self, is_stalled: bool) {
        if self.is_stalled.get() != is_stalled {
            self.is_stalled.set(is_stalled);
            self.stalled_for.set(0);
        }
    }

    fn wait_for(&self, waiting: Waiting) {
        self.waiting.set(waiting);
        self.waited.set(0);
    }

    fn is_over(&self) -> bool {
        self.waited.set(self.waited.get() + 1);
        self.stalled_for.set(self.stalled_for.get() + 1);
        let waits_too_long = match self.waiting.get() {
            Waiting::Head => self.waited.get() > HEAD_SWEEPS_MAX,
            Waiting::Idle => self.waited.get() > IDLE_SWEEPS_MAX,
            Waiting::Nothing => false,
        };
        waits_too_long || (self.is_stalled.get() && self.stalled_for.get() > STALL_SWEEPS_MAX)
    }

    fn note_waker(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }
}

/// A request under way.
pub(super) struct Busy(Rc<Watch>);

impl Drop for Busy {
    fn drop(&mut self) {
        let left = self.0.requests.get().saturating_sub(1);
        self.0.requests.set(left);
        if left == 0 {
            self.0.wait_for(Waiting::Idle);
        }
    }
}

/// The connections of one thread.
#[derive(Debug, Default)]
pub(super) struct Registry {
    connections: RefCell<HashMap<u64, Rc<Watch>>>,
    next: Cell<u64>,
    is_draining: Cell<bool>,
}

impl Registry {
    /// Takes a new connection in.
    pub(super) fn enter(&self) -> Rc<Watch> {
        let number = self.next.get();
        self.next.set(number + 1);
        let watch = Rc::new(Watch {
            number,
            waiting: Cell::new(Waiting::Head),
            waited: Cell::new(0),
            requests: Cell::new(0),
            is_multiplexed: Cell::new(false),
            is_stalled: Cell::new(false),
            stalled_for: Cell::new(0),
            is_doomed: Cell::new(false),
            is_draining: Cell::new(self.is_draining.get()),
            answers_one: Cell::new(false),
            waker: RefCell::new(None),
        });
        self.connections.borrow_mut().insert(number, Rc::clone(&watch));
        watch
    }

    /// Lets go of a connection that has ended.
    pub(super) fn leave(&self, watch: &Watch) {
        self.connections.borrow_mut().remove(&watch.number);
    }

    /// Asks every connection to end after the requests it has begun.
    pub(super) fn drain(&self) {
        self.is_draining.set(true);
        for watch in self.connections.borrow().values() {
            watch.is_draining.set(true);
            watch.wake();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.connections.borrow().is_empty()
    }
}

/// Ends, once a second, the connections whose time is over.
pub(super) async fn sweep(registry: Rc<Registry>) {
    let mut ticks = tokio::time::interval(SWEEP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for watch in registry.connections.borrow().values() {
            if watch.is_over() {
                watch.is_doomed.set(true);
                watch.wake();
            }
        }
    }
}

/// Drives a connection until it ends or is doomed; none when it was doomed.
pub(super) async fn until_doomed<F: Future>(connection: F, watch: &Watch) -> Option<F::Output> {
    let mut connection = pin!(connection);
    poll_fn(|context| {
        watch.note_waker(context.waker());
        if watch.is_doomed.get() {
            return Poll::Ready(None);
        }
        connection.as_mut().poll(context).map(Some)
    })
    .await
}

/// Drives hyper's connection until it ends, is doomed, or has drained. `drain` asks it to end after the requests it has
/// begun. A connection that breaks is the client's affair.
pub(super) async fn drive<C: Future>(connection: C, watch: &Watch, drain: impl Fn(Pin<&mut C>)) {
    let mut connection = pin!(connection);
    let mut asked_to_drain = false;
    let ended = poll_fn(|context| {
        loop {
            if watch.is_draining.get() && !asked_to_drain {
                asked_to_drain = true;
                drain(connection.as_mut());
            }
            let polled = connection.as_mut().poll(context).map(|_| ());
            // The poll may have begun the request that is the last: nothing else would wake this again.
            if polled.is_ready() || asked_to_drain || !watch.is_draining.get() {
                return polled;
            }
        }
    });
    until_doomed(ended, watch).await;
}

/// The transport of a connection, telling its [`Watch`] what it does.
pub(super) struct Guarded<I> {
    inner: I,
    /// What has been read from `inner` already.
    first: Bytes,
    watch: Rc<Watch>,
}

impl<I> Guarded<I> {
    /// A transport that begins with `first`.
    pub(super) const fn new(inner: I, first: Bytes, watch: Rc<Watch>) -> Self {
        Self { inner, first, watch }
    }
}

impl<I: Read + Unpin> Read for Guarded<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let count = self.first.len().min(buffer.remaining());
            buffer.put_slice(&self.first[..count]);
            self.first.advance(count);
            return Poll::Ready(Ok(()));
        }
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        if polled.is_ready() {
            self.watch.note_read();
        }
        polled
    }
}

impl<I: Write + Unpin> Write for Guarded<I> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.watch.note_write(polled.is_pending());
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(context, buffers);
        self.watch.note_write(polled.is_pending());
        polled
    }
}
