//! Threads that have what others leave of the processor.

use std::io;

/// Puts this thread into Linux's idle class: it runs when nobody else wants the processor, and stops as soon as somebody
/// wakes. A lower priority alone would not do: a guest that spins would still go on to the end of its turn, milliseconds
/// in which nobody else on its core is served. What is left is most of a machine that is not overloaded.
///
/// # Errors
/// When the system refuses.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "no crate we have offers this call")]
pub(crate) fn step_back() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: 0 is the calling thread, and the parameters outlive the call, which only reads them.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Other systems have no such class.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "the same shape everywhere")]
pub(crate) const fn step_back() -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{fs, thread};

    #[test]
    fn a_thread_that_steps_back_is_in_the_idle_class() {
        let class = |stat: &str| {
            // Field 41; the name in field 2 may hold spaces, and ends at the last parenthesis.
            let rest = stat.rsplit_once(')').map(|(_, rest)| rest.to_owned()).expect("a name");
            rest.split_whitespace().nth(38).map(str::to_owned).expect("a class")
        };
        let stepped_back = thread::spawn(move || {
            super::step_back().expect("the system allows it");
            class(&fs::read_to_string("/proc/thread-self/stat").expect("this thread"))
        });
        assert_eq!(stepped_back.join().expect("no panic"), "5");
    }
}
