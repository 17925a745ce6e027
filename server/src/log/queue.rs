//! Lines that wait to be written by a thread.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The pause before another attempt to write to a descriptor that does not block.
const WOULD_BLOCK_PAUSE: Duration = Duration::from_millis(10);

/// Lines that wait, of a bounded number of bytes.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    capacity: usize,
    /// Counts lines that found no room or could not be written.
    lost: &'static AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<String>,
    bytes: usize,
    is_writing: bool,
}

impl Queue {
    pub(super) fn new(capacity: usize, lost: &'static AtomicU64) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            capacity,
            lost,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds a line, or counts it as lost if there is no room. Never blocks for long.
    pub(super) fn push(&self, line: String) {
        let mut state = self.state();
        if state.bytes + line.len() > self.capacity {
            self.count_lost();
            return;
        }
        state.bytes += line.len();
        state.lines.push_back(line);
        self.changed.notify_all();
    }

    /// Waits until every line has been written or `patience` has passed.
    pub(super) fn flush(&self, patience: Duration) {
        let is_busy = |state: &mut State| state.is_writing || !state.lines.is_empty();
        drop(self.changed.wait_timeout_while(self.state(), patience, is_busy));
    }

    /// Waits for the next line.
    fn take(&self) -> String {
        let mut state = self.state();
        state.is_writing = false;
        self.changed.notify_all();
        loop {
            if let Some(line) = state.lines.pop_front() {
                state.bytes -= line.len();
                state.is_writing = true;
                return line;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Writes the lines to `out`, for ever. After lines were lost, `notice` returns the line with
    /// their number.
    pub(super) fn write_lines(&self, mut out: impl Write, notice: impl Fn(u64) -> String) {
        let mut reported = 0;
        loop {
            let line = self.take();
            if write_whole(&mut out, line.as_bytes()).is_err() {
                self.count_lost();
                continue;
            }
            let lost = self.lost.load(Ordering::Relaxed);
            if lost > reported && write_whole(&mut out, notice(lost - reported).as_bytes()).is_ok() {
                reported = lost;
            }
        }
    }

    pub(super) fn line_writer(self: &Arc<Self>) -> LineWriter {
        LineWriter(Arc::clone(self))
    }
}

/// Writes everything, also to a descriptor that does not block.
fn write_whole(out: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(WOULD_BLOCK_PAUSE),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Puts each write, which is a whole line, into the queue.
#[derive(Debug)]
pub(super) struct LineWriter(Arc<Queue>);

impl Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(String::from_utf8_lossy(line).into_owned());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A standard error whose writes wait for the test, which says how each ends.
    struct Controlled {
        results: Receiver<bool>,
        written: Sender<String>,
    }

    impl Write for Controlled {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            if !self.results.recv().unwrap_or(false) {
                return Err(ErrorKind::BrokenPipe.into());
            }
            let _ = self.written.send(String::from_utf8_lossy(line).into_owned());
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn controlled(capacity: usize) -> (Arc<Queue>, Sender<bool>, Receiver<String>) {
        let lost = Box::leak(Box::new(AtomicU64::new(0)));
        let queue = Arc::new(Queue::new(capacity, lost));
        let ((result, results), (written, lines)) = (channel(), channel());
        let writer = Arc::clone(&queue);
        std::thread::spawn(move || writer.write_lines(Controlled { results, written }, |lost| format!("{lost} lost")));
        (queue, result, lines)
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted_and_reported_once_writing_works_again() {
        let (queue, result, lines) = controlled(1_000);
        for line in ["one", "two", "three", "four"] {
            queue.push(line.to_owned());
        }
        for works in [false, false, true, true, true] {
            result.send(works).unwrap();
        }
        let written: Vec<String> = lines.iter().take(3).collect();
        assert_eq!(written, ["three", "2 lost", "four"]);
    }

    #[test]
    fn a_writer_that_hangs_delays_no_one_and_loses_what_exceeds_the_room() {
        let (queue, result, lines) = controlled(10);
        for number in 0..10_000 {
            queue.push(format!("{:04}", number % 10_000));
        }
        let lost = queue.lost.load(Ordering::Relaxed);
        assert!((9_997..=9_998).contains(&lost), "{lost}");
        queue.flush(Duration::ZERO);
        for _ in 0..4 {
            result.send(true).unwrap();
        }
        let first: Vec<String> = lines.iter().take(2).collect();
        assert_eq!(first, ["0000".to_owned(), format!("{lost} lost")]);
    }
}
