use std::pin::Pin;
use std::task::Waker;

use http_body_util::BodyExt;

use super::super::stored::StoredBody;
use super::*;

fn limits(max_object: u64, budget: u64) -> FillLimits {
    FillLimits {
        max_object,
        budget: FillBudget::new(budget),
    }
}

async fn rest(reader: FillReader) -> Vec<u8> {
    reader.collect().await.unwrap().to_bytes().to_vec()
}

#[tokio::test]
async fn a_late_reader_gets_the_body_from_its_first_byte() {
    let fill = Fill::new(None, limits(1_000, 1_000), 0);
    let early = fill.reader().unwrap();
    fill.push(Bytes::from_static(b"one ")).await.unwrap();
    let late = fill.reader().unwrap();
    fill.push(Bytes::from_static(b"two")).await.unwrap();
    assert_eq!(fill.finish().unwrap().unwrap().concat(), b"one two");
    fill.complete(None);
    assert_eq!(rest(early).await, b"one two");
    assert_eq!(rest(late).await, b"one two");
}

#[tokio::test]
async fn a_body_beyond_max_object_reaches_its_reader_and_is_not_retained() {
    let fill = Fill::new(None, limits(10, 1_000), 0);
    let reader = fill.reader().unwrap();
    fill.push(Bytes::from_static(b"12345678")).await.unwrap();
    let Ok(Retention::Outgrown(pieces)) = fill.push(Bytes::from_static(b"9012")).await else {
        panic!("it is retained still");
    };
    assert_eq!(pieces.concat(), b"123456789012");
    let pushed = fill.push(Bytes::new()).await;
    assert_eq!(pushed, Ok(Retention::Window));
    assert_eq!(fill.finish().unwrap(), None);
    assert_eq!(
        fill.limits.budget.used(),
        12,
        "its reader has not had it yet"
    );
    fill.complete(None);
    assert_eq!(rest(reader).await, b"123456789012");
    assert_eq!(fill.limits.budget.used(), 0);
}

#[tokio::test]
async fn a_fill_beyond_the_budget_stops_retaining_and_counts_what_is_unread() {
    let limits = limits(1_000, 6);
    let fill = Fill::new(None, limits.clone(), 0);
    let mut reader = fill.reader().unwrap();
    let pushed = fill.push(Bytes::from_static(b"12345")).await;
    assert_eq!((pushed, limits.budget.used()), (Ok(Retention::Whole), 5));
    let pushed = fill.push(Bytes::from_static(b"67")).await;
    assert_eq!((pushed, limits.budget.used()), (Ok(Retention::Window), 7));
    let taken = poll_fn(|context| reader.poll_piece(context)).await;
    assert_eq!(taken.unwrap().unwrap(), "1234567");
    assert_eq!(limits.budget.used(), 0);
    let second = Fill::new(None, limits.clone(), 0);
    let _reader = second.reader().unwrap();
    let pushed = second.push(Bytes::from_static(b"abc")).await;
    assert_eq!(pushed, Ok(Retention::Whole));
    drop(_reader);
    drop(second);
    assert_eq!(limits.budget.used(), 0);
}

#[tokio::test]
async fn the_head_of_a_fill_counts_until_the_store_has_it() {
    let limits = limits(1_000, 1_000);
    let fill = Fill::new(None, limits.clone(), 300);
    assert_eq!(limits.budget.used(), 300);
    drop(fill);
    assert_eq!(limits.budget.used(), 0);
    let fill = Fill::new(None, limits.clone(), 1_200);
    let _reader = fill.reader().unwrap();
    assert_eq!(limits.budget.used(), 1_200, "a head is not refused");
    let pushed = fill.push(Bytes::from_static(b"a")).await;
    assert_eq!(pushed, Ok(Retention::Window));
    fill.complete(None);
    drop((fill, _reader));
    assert_eq!(limits.budget.used(), 0);
    let fill = Fill::new(None, limits.clone(), 300);
    let _reader = fill.reader().unwrap();
    fill.push(Bytes::from_static(b"a")).await.unwrap();
    let pieces = fill.finish().unwrap();
    fill.complete(pieces.as_deref());
    assert_eq!(limits.budget.used(), 0);
}

/// Takes all that is there, and returns how many bytes that was.
fn take_all(reader: &mut FillReader) -> u64 {
    let before = reader.offset();
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(Ok(_))) = reader.poll_piece(&mut context) {}
    reader.offset() - before
}

#[tokio::test]
async fn readers_go_on_at_the_pace_of_the_quickest() {
    let fill = Fill::new(None, limits(0, 0), 0);
    let (mut quick, mut stuck) = (fill.reader().unwrap(), fill.reader().unwrap());
    let piece = Bytes::from(vec![b'x'; WINDOW_BYTES as usize / 4]);
    for _ in 0..40 {
        fill.push(piece.clone()).await.unwrap();
        assert_eq!(take_all(&mut quick), piece.len() as u64);
        assert!(fill.limits.budget.used() <= LAG_BYTES);
    }
    let polled = poll_fn(|context| stuck.poll_piece(context)).await;
    assert_eq!(polled, Some(Err(FillError::FellBehind)));
    drop(quick);
    let pushed = fill.push(piece.clone()).await;
    assert_eq!(pushed, Err(FillError::Abandoned), "the other one has left");
}

#[tokio::test]
async fn a_reader_may_be_further_behind_while_half_of_the_budget_is_free() {
    // The fill holds eight windows for the slow reader; the others use so many.
    for (others, is_kept) in [(0, true), (8, true), (9, false)] {
        let limits = limits(8 * WINDOW_BYTES, 32 * WINDOW_BYTES);
        let fill = Fill::new(Some(20 * WINDOW_BYTES), limits, 0);
        fill.limits.budget.add(others * WINDOW_BYTES);
        let (mut quick, mut slow) = (fill.reader().unwrap(), fill.reader().unwrap());
        let piece = Bytes::from(vec![b'x'; WINDOW_BYTES as usize]);
        for _ in 0..8 {
            fill.push(piece.clone()).await.unwrap();
            take_all(&mut quick);
        }
        assert_eq!(
            take_all(&mut slow),
            if is_kept { 8 } else { 0 } * WINDOW_BYTES,
            "{others}"
        );
    }
}

#[tokio::test]
async fn a_reader_within_the_lag_gets_every_byte() {
    let fill = Fill::new(None, limits(0, 0), 0);
    let (mut quick, mut slow) = (fill.reader().unwrap(), fill.reader().unwrap());
    let piece = |at: u8| Bytes::from(vec![at; WINDOW_BYTES as usize]);
    fill.push(piece(0)).await.unwrap();
    take_all(&mut quick);
    fill.push(piece(1)).await.unwrap();
    take_all(&mut quick);
    assert_eq!(take_all(&mut slow), LAG_BYTES);
    fill.push(piece(2)).await.unwrap();
    fill.complete(None);
    assert_eq!(take_all(&mut slow), WINDOW_BYTES);
    assert_eq!(rest(quick).await, piece(2));
}

#[tokio::test]
async fn the_writer_of_a_fill_that_does_not_retain_waits_for_its_quickest_reader() {
    let fill = Fill::new(None, limits(0, 0), 0);
    let (mut reader, _stuck) = (fill.reader().unwrap(), fill.reader().unwrap());
    let piece = Bytes::from(vec![b'x'; WINDOW_BYTES as usize]);
    fill.push(piece.clone()).await.unwrap();
    assert!(fill.reader().is_some(), "nothing has been dropped yet");
    let mut blocked = std::pin::pin!(fill.push(piece.clone()));
    assert!(futures_poll(blocked.as_mut()).is_pending());
    assert_eq!(take_all(&mut reader), WINDOW_BYTES);
    blocked.await.unwrap();
    take_all(&mut reader);
    fill.push(piece.clone()).await.unwrap();
    assert!(fill.reader().is_none(), "the first bytes are gone");
}

#[tokio::test]
async fn a_body_of_another_length_than_announced_is_cut_short() {
    let fill = Fill::new(Some(4), limits(100, 100), 0);
    let reader = fill.reader().unwrap();
    fill.push(Bytes::from_static(b"abc")).await.unwrap();
    assert_eq!(fill.finish(), Err(FillError::CutShort));
    assert!(reader.collect().await.is_err());
    let fill = Fill::new(Some(4), limits(100, 100), 0);
    let _reader = fill.reader().unwrap();
    assert_eq!(
        fill.push(Bytes::from_static(b"abcde")).await,
        Err(FillError::CutShort)
    );
}

#[tokio::test]
async fn a_fill_without_readers_goes_on_only_if_it_is_nearly_done() {
    let length = 4 * NEARLY_DONE_BYTES;
    let fill = Fill::new(Some(length), limits(length, length), 0);
    drop(fill.reader().unwrap());
    assert_eq!(
        fill.push(Bytes::from_static(b"a")).await,
        Err(FillError::Abandoned)
    );
    let fill = Fill::new(Some(length), limits(length, length), 0);
    let reader = fill.reader().unwrap();
    fill.push(Bytes::from(vec![0; (length / 2) as usize]))
        .await
        .unwrap();
    drop(reader);
    fill.push(Bytes::from_static(b"a")).await.unwrap();
}

#[tokio::test]
async fn single_bytes_are_joined() {
    let fill = Fill::new(None, limits(1_000_000, 1_000_000), 0);
    let _reader = fill.reader().unwrap();
    for _ in 0..1_000 {
        fill.push(Bytes::from_static(b"a")).await.unwrap();
    }
    assert_eq!(fill.lock().pieces.len(), 1);
}

#[tokio::test]
async fn a_large_body_is_retained_in_few_pieces_while_it_is_read() {
    let fill = Fill::new(None, limits(10_000_000, 10_000_000), 0);
    let piece = |at: u8| Bytes::from(vec![at; 60_000]);
    let whole: Vec<u8> = (0..100).flat_map(piece).collect();
    let mut early = fill.reader().unwrap();
    for at in 0..50 {
        fill.push(piece(at)).await.unwrap();
    }
    let first = poll_fn(|context| early.poll_piece(context))
        .await
        .unwrap()
        .unwrap();
    for at in 50..100 {
        fill.push(piece(at)).await.unwrap();
    }
    let pieces = fill.finish().unwrap().unwrap();
    let most = StoredBody::ONE_PIECE as usize / 60_000;
    assert_eq!(
        pieces
            .iter()
            .map(|piece| piece.len() / 60_000)
            .collect::<Vec<_>>(),
        [most, most, most, most, most, 100 - 5 * most]
    );
    assert!(pieces.concat() == whole);
    fill.complete(Some(&pieces));
    assert!([&first, &*rest(early).await].concat() == whole);
    assert_eq!(fill.limits.budget.used(), 0);
}

#[tokio::test]
async fn single_bytes_are_joined_after_a_fill_stopped_retaining() {
    let fill = Fill::new(None, limits(3_000_000, 3_000_000), 0);
    let _reader = fill.reader().unwrap();
    for _ in 0..3 {
        fill.push(Bytes::from(vec![0; 900_000])).await.unwrap();
    }
    assert_eq!(fill.lock().joined, 2);
    fill.push(Bytes::from(vec![0; 400_000])).await.unwrap();
    assert!(!fill.lock().retains);
    fill.lock().readers[0].as_mut().unwrap().offset = 3_100_000;
    for _ in 0..1_000 {
        fill.push(Bytes::from_static(b"a")).await.unwrap();
    }
    assert_eq!(fill.lock().pieces.len(), 1, "readers have had the others");
}

fn futures_poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
