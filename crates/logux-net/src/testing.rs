//! The suite that judges a transport by the calling contract of [`Transport`].
//!
//! Give it a way to make two connected ends with the [limits](LIMITS) it names, inside of a module of its own:
//!
//! ```
//! mod my_transport {
//!     logux_net::transport_suite!(async |limits| logux_net::pair(limits));
//! }
//! ```
//!
//! Every check becomes a test that runs twice, with the ends in either role. The functions are the list of what a transport
//! promises.

use core::{
    future::poll_fn,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{FutureExt, SinkExt, StreamExt, future::join};
use tokio::{runtime::Builder, task::yield_now, time::timeout};

use crate::{CloseReason, Frame, Limits, NetError, Transport};

/// The limits that the ends under test must keep to.
pub const LIMITS: Limits = Limits { max_frame: 64 << 10, write_buffer: 4 << 10 };

/// More than this may not disappear between two ends: the buffers of ours and of the operating system together.
const TOO_MUCH: usize = 64 << 20;

/// A check that takes longer has lost a wake-up.
const PATIENCE: Duration = Duration::from_secs(30);

/// One end under test.
pub type End = Box<dyn Transport>;

/// Makes a test out of each check. The argument is an async closure from [`Limits`] to two connected ends.
#[macro_export]
macro_rules! transport_suite {
    ($connect:expr) => {
        $crate::transport_suite!(
            $connect;
            frames_arrive_whole_and_in_order, both_directions_at_once, the_largest_frame_passes,
            a_frame_over_the_limit_is_an_error, many_frames_before_one_flush, closing_is_seen_by_the_peer, goodbyes_may_meet,
            dropping_one_end_ends_the_other, a_writer_waits_for_its_reader, waiting_for_a_frame_can_be_cancelled,
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

/// Runs one check, with the ends in either role.
///
/// # Panics
///
/// When the transport does not hold what the check is about, or the check does not come to an end within 30 s.
pub fn run<A, B>(connect: impl AsyncFn(Limits) -> (A, B), check: impl AsyncFn(End, End))
where
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
        timeout(PATIENCE, both_roles).await.expect("the check hangs: somebody was not woken");
    });
}

/// Frames of many sizes and in all alphabets come out as they went in.
pub async fn frames_arrive_whole_and_in_order(mut left: End, mut right: End) {
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

/// Two ends that send each other more than any buffer holds, each in one task, do not block each other.
pub async fn both_directions_at_once(left: End, right: End) {
    let frames: Vec<Frame> = (0..600).map(|i| numbered(i, 16 << 10)).collect();
    let (got_left, got_right) = join(
        exchange(left, frames.clone(), frames.len()),
        exchange(right, frames.clone(), frames.len()),
    )
    .await;
    assert_frames(&got_left, &frames);
    assert_frames(&got_right, &frames);
}

/// A frame of exactly [`Limits::max_frame`] is taken; the limit counts bytes.
pub async fn the_largest_frame_passes(mut left: End, mut right: End) {
    for largest in ["a".repeat(LIMITS.max_frame), "é".repeat(LIMITS.max_frame / 2)] {
        let largest = Frame::from(largest);
        let (sent, got) = join(left.send(largest.clone()), take(&mut right, 1)).await;
        sent.expect("sent");
        assert_frames(&got, &[largest]);
    }
}

/// A frame over [`Limits::max_frame`] is an error of the reader, and then the stream is at its end. The writer is not stuck
/// when the reader gives up.
pub async fn a_frame_over_the_limit_is_an_error(mut left: End, mut right: End) {
    let reading = async move {
        right.next().await.expect("the frame before").expect("small enough");
        match right.next().await {
            Some(Err(NetError::FrameTooLarge { limit })) => assert_eq!(limit, LIMITS.max_frame),
            other => panic!("expected an error, got {other:?}"),
        }
        assert!(right.next().await.is_none(), "after an error the stream is at its end");
    };
    let writing = async {
        left.send("[]".into()).await.expect("sent");
        // What becomes of it depends on how soon the reader is gone.
        let _may_fail = left.send("a".repeat(16 << 20).into()).await;
    };
    join(reading, writing).await;
}

/// Frames may be put into the sink in a row and flushed once.
pub async fn many_frames_before_one_flush(mut left: End, mut right: End) {
    let sent: Vec<Frame> = (0..500).map(|i| numbered(i, 20)).collect();
    let writing = async {
        for frame in &sent {
            left.feed(frame.clone()).await.expect("room");
        }
        left.flush().await.expect("flushed");
    };
    let ((), got) = join(writing, take(&mut right, sent.len())).await;
    assert_frames(&got, &sent);
}

/// What was sent before the goodbye arrives before it, the reason arrives if the transport carries reasons, and after the
/// goodbye nothing can be sent.
pub async fn closing_is_seen_by_the_peer(mut left: End, mut right: End) {
    left.set_close_reason(CloseReason::Replaced);
    left.feed("[1]".into()).await.expect("room");
    left.close().await.expect("closed");
    assert!(
        matches!(left.send("[2]".into()).await, Err(NetError::Closed)),
        "nothing can be sent after closing"
    );
    left.close().await.expect("closing twice does no harm");

    assert_frames(&take(&mut right, 1).await, &["[1]".into()]);
    assert!(right.next().await.is_none(), "closing is the end, not an error");
    assert!(right.next().await.is_none(), "the end stays the end");
    assert!(matches!(right.received_close(), Some(CloseReason::Replaced) | None));
    right.close().await.expect("the answer");
    assert!(left.next().await.is_none(), "the answer is the end for the one that closed first");
}

/// Both ends may close at the same time.
pub async fn goodbyes_may_meet(mut left: End, mut right: End) {
    left.feed("[1]".into()).await.expect("room");
    right.feed("[2]".into()).await.expect("room");
    let (a, b) = join(left.close(), right.close()).await;
    a.and(b).expect("both closed");
    let (got_left, got_right) = join(take(&mut left, 1), take(&mut right, 1)).await;
    assert_frames(&got_left, &["[2]".into()]);
    assert_frames(&got_right, &["[1]".into()]);
    assert!(left.next().await.is_none());
    assert!(right.next().await.is_none());
}

/// An end that disappears without a goodbye ends the other one: its reader at once, its writer soon.
pub async fn dropping_one_end_ends_the_other(mut left: End, right: End) {
    assert!(poll_once(&mut left).await.is_pending(), "nothing was sent");
    drop(right);
    assert!(!matches!(left.next().await, Some(Ok(_))), "nothing was sent");
    assert!(left.next().await.is_none(), "the end stays the end");
    assert_eq!(left.received_close(), None, "nobody said goodbye");
    let mut sent = 0;
    while left.send(numbered(0, 1 << 10)).await.is_ok() {
        sent += 1 << 10;
        assert!(sent < TOO_MUCH, "the writer does not notice that nobody is there");
        yield_now().await;
    }
}

/// While the peer does not read, the writer comes to wait instead of buffering without bound. Meanwhile frames come in from
/// that peer, and afterwards everything arrives.
pub async fn a_writer_waits_for_its_reader(mut left: End, mut right: End) {
    let (mut sent, mut refusals) = (0, 0);
    // The system may still be moving bytes along: only a writer that is refused many times in a row is waiting.
    while refusals < 100 {
        let ready = poll_fn(|cx| Poll::Ready(left.poll_ready_unpin(cx))).await;
        if let Poll::Ready(room) = ready {
            room.expect("the peer is there");
            left.start_send_unpin(numbered(sent, 1 << 10)).expect("room");
            (sent, refusals) = (sent + 1, 0);
            assert!(sent << 10 < TOO_MUCH, "the writer buffers without bound");
        } else {
            refusals += 1;
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

/// A `next()` that is dropped while it waits, also in the middle of a frame, loses nothing.
pub async fn waiting_for_a_frame_can_be_cancelled(mut left: End, mut right: End) {
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

/// A JSON text of `len` bytes, or a few if `len` is less, that begins with its number.
fn numbered(number: usize, len: usize) -> Frame {
    let mut text = format!("[{number},\"");
    text.extend(core::iter::repeat_n('x', len.saturating_sub(text.len() + 2)));
    text.push_str("\"]");
    text.into()
}

async fn take(end: &mut End, count: usize) -> Vec<Frame> {
    let mut frames = Vec::new();
    while frames.len() < count {
        match end.next().await {
            Some(Ok(frame)) => frames.push(frame),
            other => panic!("frame {} of {count} should have come, got {other:?}", frames.len()),
        }
    }
    frames
}

/// Asks for a frame with a `next()` that is dropped at once.
async fn poll_once(end: &mut End) -> Poll<Option<Result<Frame, NetError>>> {
    poll_fn(|cx| Poll::Ready(end.next().poll_unpin(cx))).await
}

/// Sends all and receives `count`, in one task that waits for neither before the other.
async fn exchange(mut end: End, frames: Vec<Frame>, count: usize) -> Vec<Frame> {
    let (mut frames, mut got) = (frames.into_iter().peekable(), Vec::new());
    poll_fn(|cx| {
        let flushed = push(&mut end, &mut frames, cx);
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

fn push(
    end: &mut End,
    frames: &mut core::iter::Peekable<impl Iterator<Item = Frame>>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    while frames.peek().is_some() {
        match end.poll_ready_unpin(cx) {
            Poll::Ready(room) => room.expect("the peer is there"),
            Poll::Pending => return Poll::Pending,
        }
        if let Some(frame) = frames.next() {
            end.start_send_unpin(frame).expect("room");
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
            "frame {at}: {} bytes {:?} in place of {:?}",
            got.len(),
            short(got),
            short(expected)
        );
    }
}
