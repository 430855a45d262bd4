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
    let fill = Fill::new(None, limits(1_000, 1_000), true);
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
    let fill = Fill::new(None, limits(10, 1_000), true);
    let reader = fill.reader().unwrap();
    fill.push(Bytes::from_static(b"12345678")).await.unwrap();
    fill.push(Bytes::from_static(b"9012")).await.unwrap();
    assert_eq!(fill.finish().unwrap(), None);
    assert_eq!(fill.limits.budget.used(), 0);
    fill.complete(None);
    assert_eq!(rest(reader).await, b"123456789012");
}

#[tokio::test]
async fn a_fill_beyond_the_budget_stops_retaining_and_gives_the_budget_back() {
    let limits = limits(1_000, 6);
    let fill = Fill::new(None, limits.clone(), true);
    let _reader = fill.reader().unwrap();
    fill.push(Bytes::from_static(b"12345")).await.unwrap();
    assert_eq!(limits.budget.used(), 5);
    fill.push(Bytes::from_static(b"67")).await.unwrap();
    assert_eq!(limits.budget.used(), 0);
    let second = Fill::new(None, limits.clone(), true);
    let _reader = second.reader().unwrap();
    second.push(Bytes::from_static(b"abc")).await.unwrap();
    drop(_reader);
    drop(second);
    assert_eq!(limits.budget.used(), 0);
}

#[tokio::test]
async fn the_writer_of_a_fill_that_does_not_retain_waits_for_the_slowest_reader() {
    let fill = Fill::new(None, limits(0, 0), true);
    let mut reader = fill.reader().unwrap();
    let piece = Bytes::from(vec![b'x'; WINDOW_BYTES as usize]);
    fill.push(piece.clone()).await.unwrap();
    assert!(fill.reader().is_some(), "nothing has been dropped yet");
    let mut blocked = std::pin::pin!(fill.push(piece.clone()));
    assert!(futures_poll(blocked.as_mut()).is_pending());
    let taken = poll_fn(|context| reader.poll_piece(context))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(taken.len() as u64, WINDOW_BYTES);
    blocked.await.unwrap();
    assert!(fill.reader().is_none(), "the first bytes are gone");
}

#[tokio::test]
async fn a_body_of_another_length_than_announced_is_cut_short() {
    let fill = Fill::new(Some(4), limits(100, 100), true);
    let reader = fill.reader().unwrap();
    fill.push(Bytes::from_static(b"abc")).await.unwrap();
    assert_eq!(fill.finish(), Err(FillError::CutShort));
    assert!(reader.collect().await.is_err());
    let fill = Fill::new(Some(4), limits(100, 100), true);
    let _reader = fill.reader().unwrap();
    assert_eq!(
        fill.push(Bytes::from_static(b"abcde")).await,
        Err(FillError::CutShort)
    );
}

#[tokio::test]
async fn a_fill_without_readers_goes_on_only_if_it_is_nearly_done() {
    let length = 4 * NEARLY_DONE_BYTES;
    let fill = Fill::new(Some(length), limits(length, length), true);
    drop(fill.reader().unwrap());
    assert_eq!(
        fill.push(Bytes::from_static(b"a")).await,
        Err(FillError::Abandoned)
    );
    let fill = Fill::new(Some(length), limits(length, length), true);
    let reader = fill.reader().unwrap();
    fill.push(Bytes::from(vec![0; (length / 2) as usize]))
        .await
        .unwrap();
    drop(reader);
    fill.push(Bytes::from_static(b"a")).await.unwrap();
}

#[tokio::test]
async fn single_bytes_are_joined() {
    let fill = Fill::new(None, limits(1_000_000, 1_000_000), true);
    let _reader = fill.reader().unwrap();
    for _ in 0..1_000 {
        fill.push(Bytes::from_static(b"a")).await.unwrap();
    }
    assert_eq!(fill.lock().pieces.len(), 1);
}

#[tokio::test]
async fn a_large_body_is_retained_in_few_pieces_while_it_is_read() {
    let fill = Fill::new(None, limits(10_000_000, 10_000_000), true);
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
    let fill = Fill::new(None, limits(3_000_000, 3_000_000), true);
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
