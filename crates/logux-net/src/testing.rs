//! A test suite for the calling contract of [`Transport`].
//!
//! Pass it an async closure that makes two connected ends with given [limits](LIMITS), in a
//! separate module:
//!
//! ```
//! mod my_transport {
//!     logux_net::transport_suite!(async |limits| logux_net::pair(limits));
//! }
//! ```
//!
//! Each check becomes a test that runs twice, with the roles of the ends swapped. The functions are
//! the list of the guarantees of a transport.

use core::{
    future::poll_fn,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{FutureExt, SinkExt, StreamExt, future::join};
use tokio::{runtime::Builder, task::yield_now, time::timeout};

use crate::{CloseReason, Frame, FrameLimits, NetError, Transport};

/// The limits for the ends under test.
pub const LIMITS: FrameLimits =
    FrameLimits { max_frame: 64 << 10, announce_from: usize::MAX, write_buffer: 4 << 10 };

/// The number of bytes that may be buffered between two ends, by the transport and by the operating
/// system.
const MAX_BUFFERED: usize = 64 << 20;

/// A check that takes longer has missed a wake-up.
const TIMEOUT: Duration = Duration::from_secs(30);

/// One end under test.
pub type BoxTransport = Box<dyn Transport>;

/// Makes a test of each check. The argument is an async closure from [`FrameLimits`] to two
/// connected ends.
#[macro_export]
macro_rules! transport_suite {
    ($connect:expr) => {
        $crate::transport_suite!(
            $connect;
            frames_arrive_whole_and_in_order, both_directions_at_once, a_frame_of_the_maximum_size_is_accepted,
            a_frame_over_the_limit_is_an_error, many_frames_before_one_flush, a_close_reaches_the_peer, both_ends_close_at_once,
            dropping_one_end_ends_the_other, writes_wait_for_a_slow_reader, reading_is_cancel_safe,
        );
    };
    ($connect:expr; $($check:ident),* $(,)?) => {
        $(
            #[test]
            fn $check() {
                $crate::testing::run($connect, $crate::testing::$check);
            }
        )*
    };
}

/// Runs one check twice, with the roles of the ends swapped.
///
/// # Panics
///
/// If the transport violates the contract, or the check takes longer than 30 s.
pub fn run<A, B>(
    connect: impl AsyncFn(FrameLimits) -> (A, B),
    check: impl AsyncFn(BoxTransport, BoxTransport),
) where
    A: Transport + 'static,
    B: Transport + 'static,
{
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let both_roles = async {
            let (left, right) = connect(LIMITS).await;
            check(Box::new(left), Box::new(right)).await;
            let (left, right) = connect(LIMITS).await;
            check(Box::new(right), Box::new(left)).await;
        };
        timeout(TIMEOUT, both_roles).await.expect("the check hangs: a wake-up was missed");
    });
}

/// Frames of many sizes and alphabets are received unchanged and in order.
pub async fn frames_arrive_whole_and_in_order(mut left: BoxTransport, mut right: BoxTransport) {
    let mut sent: Vec<Frame> =
        ["", "[]", "żółć", "日本語", "\u{1f600}\u{0}\u{7f}", r#""\n""#].map(Frame::from).into();
    sent.extend((0..300).map(|i| numbered(i, i * 7)));
    sent.extend([125, 126, 127, 65_535, 65_536].map(|len| numbered(len, len)));
    let writing = async {
        for frame in &sent {
            left.send(frame.clone()).await.expect("sent");
        }
    };
    let reading = async { take(&mut right, sent.len()).await };
    let ((), got) = join(writing, reading).await;
    assert_frames(&got, &sent);
}

/// Two ends that send each other more than any buffer holds, each in one task, do not block each
/// other.
pub async fn both_directions_at_once(left: BoxTransport, right: BoxTransport) {
    let frames: Vec<Frame> = (0..600).map(|i| numbered(i, 16 << 10)).collect();
    let (got_left, got_right) = join(
        exchange(left, frames.clone(), frames.len()),
        exchange(right, frames.clone(), frames.len()),
    )
    .await;
    assert_frames(&got_left, &frames);
    assert_frames(&got_right, &frames);
}

/// A frame of exactly [`FrameLimits::max_frame`] bytes is accepted.
pub async fn a_frame_of_the_maximum_size_is_accepted(
    mut left: BoxTransport,
    mut right: BoxTransport,
) {
    for largest in ["a".repeat(LIMITS.max_frame), "é".repeat(LIMITS.max_frame / 2)] {
        let largest = Frame::from(largest);
        let (sent, got) = join(left.send(largest.clone()), take(&mut right, 1)).await;
        sent.expect("sent");
        assert_frames(&got, &[largest]);
    }
}

/// A frame over [`FrameLimits::max_frame`] is an error of the reader, after which the stream ends.
/// The writer does not hang when the reader stops.
pub async fn a_frame_over_the_limit_is_an_error(mut left: BoxTransport, mut right: BoxTransport) {
    let reading = async move {
        right.next().await.expect("a frame").expect("a frame within the limit");
        match right.next().await {
            Some(Err(NetError::FrameTooLarge { limit })) => assert_eq!(limit, LIMITS.max_frame),
            other => panic!("expected an error, got {other:?}"),
        }
        assert!(right.next().await.is_none(), "the stream ends after an error");
    };
    let writing = async {
        left.send("[]".into()).await.expect("sent");
        // The result depends on how soon the reader is dropped.
        let _may_fail = left.send("a".repeat(16 << 20).into()).await;
    };
    join(reading, writing).await;
}

/// Several frames can be buffered and flushed at once.
pub async fn many_frames_before_one_flush(mut left: BoxTransport, mut right: BoxTransport) {
    let sent: Vec<Frame> = (0..500).map(|i| numbered(i, 20)).collect();
    let writing = async {
        for frame in &sent {
            left.feed(frame.clone()).await.expect("capacity");
        }
        left.flush().await.expect("flushed");
    };
    let ((), got) = join(writing, take(&mut right, sent.len())).await;
    assert_frames(&got, &sent);
}

/// Frames sent before a close arrive before it, the reason arrives if the transport carries
/// reasons, and no frame can be sent after a close.
pub async fn a_close_reaches_the_peer(mut left: BoxTransport, mut right: BoxTransport) {
    left.set_close_reason(CloseReason::Replaced);
    left.feed("[1]".into()).await.expect("capacity");
    left.close().await.expect("closed");
    assert!(
        matches!(left.send("[2]".into()).await, Err(NetError::Closed)),
        "no frame can be sent after closing"
    );
    left.close().await.expect("closing twice has no effect");

    assert_frames(&take(&mut right, 1).await, &["[1]".into()]);
    assert!(right.next().await.is_none(), "closing is the end, not an error");
    assert!(right.next().await.is_none(), "the stream stays at its end");
    assert!(matches!(right.received_close(), Some(CloseReason::Replaced) | None));
    right.close().await.expect("the peer closes too");
    assert!(left.next().await.is_none(), "the peer's close ends the stream");
}

/// Both ends may close at the same time.
pub async fn both_ends_close_at_once(mut left: BoxTransport, mut right: BoxTransport) {
    left.feed("[1]".into()).await.expect("capacity");
    right.feed("[2]".into()).await.expect("capacity");
    let (a, b) = join(left.close(), right.close()).await;
    a.and(b).expect("both closed");
    let (got_left, got_right) = join(take(&mut left, 1), take(&mut right, 1)).await;
    assert_frames(&got_left, &["[2]".into()]);
    assert_frames(&got_right, &["[1]".into()]);
    assert!(left.next().await.is_none());
    assert!(right.next().await.is_none());
}

/// Dropping an end without a close ends the other one: its reader immediately, its writer soon.
pub async fn dropping_one_end_ends_the_other(mut left: BoxTransport, right: BoxTransport) {
    assert!(poll_once(&mut left).await.is_pending(), "no frame was sent");
    drop(right);
    assert!(!matches!(left.next().await, Some(Ok(_))), "no frame was sent");
    assert!(left.next().await.is_none(), "the stream stays at its end");
    assert_eq!(left.received_close(), None, "the peer did not close");
    let mut sent = 0;
    while left.send(numbered(0, 1 << 10)).await.is_ok() {
        sent += 1 << 10;
        assert!(sent < MAX_BUFFERED, "the writer does not notice that the peer is dropped");
        yield_now().await;
    }
}

/// While the peer does not read, the writer waits instead of buffering without bound. Meanwhile it
/// receives frames from that peer, and afterwards all frames arrive.
pub async fn writes_wait_for_a_slow_reader(mut left: BoxTransport, mut right: BoxTransport) {
    let (mut sent, mut pending) = (0, 0);
    // The operating system may still transfer data: the writer waits only if it is pending many
    // times in a row.
    while pending < 100 {
        let ready = poll_fn(|cx| Poll::Ready(left.poll_ready_unpin(cx))).await;
        if let Poll::Ready(ready) = ready {
            ready.expect("the peer is connected");
            left.start_send_unpin(numbered(sent, 1 << 10)).expect("capacity");
            (sent, pending) = (sent + 1, 0);
            assert!(sent << 10 < MAX_BUFFERED, "the writer buffers without bound");
        } else {
            pending += 1;
            yield_now().await;
        }
    }
    for i in 0..5 {
        right.send(numbered(i, 100)).await.expect("sent");
        assert_frames(&take(&mut left, 1).await, &[numbered(i, 100)]);
    }
    let flushing = async { left.flush().await.expect("flushed") };
    let ((), got) = join(flushing, take(&mut right, sent)).await;
    assert_frames(&got, &(0..sent).map(|i| numbered(i, 1 << 10)).collect::<Vec<_>>());
}

/// Dropping a waiting `next()`, even in the middle of a frame, loses no data.
pub async fn reading_is_cancel_safe(mut left: BoxTransport, mut right: BoxTransport) {
    let sent: Vec<Frame> = (0..100).map(|i| numbered(i, i * 600)).collect();
    let writing = async {
        for frame in &sent {
            left.send(frame.clone()).await.expect("sent");
        }
    };
    let reading = async {
        let mut got = Vec::new();
        while got.len() < sent.len() {
            match poll_once(&mut right).await {
                Poll::Ready(frame) => got.push(frame.expect("more frames").expect("no error")),
                Poll::Pending => yield_now().await,
            }
        }
        got
    };
    let ((), got) = join(writing, reading).await;
    assert_frames(&got, &sent);
}

/// Returns JSON of `len` bytes, or of a few bytes if `len` is less, that begins with a number.
fn numbered(number: usize, len: usize) -> Frame {
    let mut text = format!("[{number},\"");
    text.extend(core::iter::repeat_n('x', len.saturating_sub(text.len() + 2)));
    text.push_str("\"]");
    text.into()
}

async fn take(end: &mut BoxTransport, count: usize) -> Vec<Frame> {
    let mut frames = Vec::new();
    while frames.len() < count {
        match end.next().await {
            Some(Ok(frame)) => frames.push(frame),
            other => panic!("frame {} of {count} expected, got {other:?}", frames.len()),
        }
    }
    frames
}

/// Polls for a frame with a `next()` that is dropped immediately.
async fn poll_once(end: &mut BoxTransport) -> Poll<Option<Result<Frame, NetError>>> {
    poll_fn(|cx| Poll::Ready(end.next().poll_unpin(cx))).await
}

/// Sends all frames and receives `count`, in one task that waits for both.
async fn exchange(mut end: BoxTransport, frames: Vec<Frame>, count: usize) -> Vec<Frame> {
    let (mut frames, mut got) = (frames.into_iter().peekable(), Vec::new());
    poll_fn(|cx| {
        let flushed = poll_send_all(&mut end, &mut frames, cx);
        while got.len() < count {
            match end.poll_next_unpin(cx) {
                Poll::Ready(frame) => got.push(frame.expect("more frames").expect("no error")),
                Poll::Pending => return Poll::Pending,
            }
        }
        flushed
    })
    .await;
    got
}

fn poll_send_all(
    end: &mut BoxTransport,
    frames: &mut core::iter::Peekable<impl Iterator<Item = Frame>>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    while frames.peek().is_some() {
        match end.poll_ready_unpin(cx) {
            Poll::Ready(ready) => ready.expect("the peer is connected"),
            Poll::Pending => return Poll::Pending,
        }
        if let Some(frame) = frames.next() {
            end.start_send_unpin(frame).expect("capacity");
        }
    }
    end.poll_flush_unpin(cx).map(|flushed| flushed.expect("flushed"))
}

/// Compares without printing megabytes.
fn assert_frames(got: &[Frame], expected: &[Frame]) {
    assert_eq!(got.len(), expected.len(), "number of frames");
    for (at, (got, expected)) in got.iter().zip(expected).enumerate() {
        let short = |frame: &Frame| frame.chars().take(40).collect::<String>();
        assert!(
            got == expected,
            "frame {at}: {} bytes {:?} instead of {:?}",
            got.len(),
            short(got),
            short(expected)
        );
    }
}
