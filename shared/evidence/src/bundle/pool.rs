//! Work shared between threads: whoever waits for a result works meanwhile.
//!
//! One thread leads; the others help it until it is done. With one processor there are no others, and everything happens in
//! the order in which it was asked for.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A piece of work.
pub(super) type Task<'env> = Box<dyn FnOnce() + Send + 'env>;

/// Threads at most: beyond these, the one that leads is what takes time.
const THREADS_MAX: usize = 8;

/// What there is to do.
pub(super) struct Pool<'env> {
    queue: Mutex<Queue<'env>>,
    changed: Condvar,
}

struct Queue<'env> {
    tasks: VecDeque<Task<'env>>,
    over: bool,
}

impl<'env> Pool<'env> {
    /// Runs `lead` with as many helpers as there are other processors.
    pub(super) fn run<T>(threads: usize, lead: impl FnOnce(&Pool<'env>) -> T) -> T {
        let pool = Pool {
            queue: Mutex::new(Queue {
                tasks: VecDeque::new(),
                over: false,
            }),
            changed: Condvar::new(),
        };
        std::thread::scope(|scope| {
            for _ in 1..threads.clamp(1, THREADS_MAX) {
                scope.spawn(|| pool.help());
            }
            let over = Over(&pool);
            let result = lead(&pool);
            drop(over);
            result
        })
    }

    /// Asks for something to be done, sooner or later, by whoever has time.
    pub(super) fn ask(&self, task: impl FnOnce() + Send + 'env) {
        self.lock().tasks.push_back(Box::new(task));
        self.changed.notify_one();
    }

    /// Works, or waits for others, until `ready` gives something.
    pub(super) fn wait<T>(&self, mut ready: impl FnMut() -> Option<T>) -> T {
        loop {
            if let Some(result) = ready() {
                return result;
            }
            let mut queue = self.lock();
            match queue.tasks.pop_front() {
                Some(task) => {
                    drop(queue);
                    task();
                    self.changed.notify_all();
                }
                None => {
                    // A result may have come between looking and locking; so the wait is short.
                    let short = std::time::Duration::from_millis(1);
                    drop(self.changed.wait_timeout(queue, short));
                }
            }
        }
    }

    fn help(&self) {
        loop {
            let mut queue = self.lock();
            let task = loop {
                match queue.tasks.pop_front() {
                    Some(task) => break task,
                    None if queue.over => return,
                    None => queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
                }
            };
            drop(queue);
            task();
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<'env>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends the helpers home, however leading ends.
struct Over<'p, 'env>(&'p Pool<'env>);

impl Drop for Over<'_, '_> {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.tasks.clear();
        queue.over = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn everything_is_done_with_any_number_of_threads() {
        for threads in [0, 1, 2, 5] {
            let done = AtomicUsize::new(0);
            Pool::run(threads, |pool| {
                for n in 1..=100 {
                    let done = &done;
                    pool.ask(move || {
                        done.fetch_add(n, Ordering::SeqCst);
                    });
                }
                pool.wait(|| (done.load(Ordering::SeqCst) == 5050).then_some(()));
            });
            assert_eq!(done.into_inner(), 5050, "{threads} threads");
        }
    }

    #[test]
    fn leaving_early_leaves_nobody_behind() {
        let result: Result<(), &str> = Pool::run(4, |pool| {
            for _ in 0..1000 {
                pool.ask(std::thread::yield_now);
            }
            Err("enough")
        });
        assert_eq!(result, Err("enough"));
    }
}
