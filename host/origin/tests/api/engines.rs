//! One suite, two databases.

use std::{cell::RefCell, future::Future, pin::Pin};

/// A test that holds on both: its name, and what it does.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) run: fn() -> Pin<Box<dyn Future<Output = ()>>>,
}

thread_local! {
    /// The URL of the database in Postgres that origins of this thread use; a file of SQLite's when there is none.
    static POSTGRES: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Where origins of this thread keep their record.
pub(crate) fn postgres() -> Option<String> {
    POSTGRES.with_borrow(Clone::clone)
}

/// Runs a case on this thread, with its origins on the database at `url`.
pub(crate) fn run_on_postgres(case: &Case, url: String) {
    POSTGRES.set(Some(url));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on((case.run)());
    POSTGRES.set(None);
}

/// Makes of each function a test on SQLite, and one of the suite on Postgres.
#[macro_export]
macro_rules! on_both_engines {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name().await;
                }
            )*
        }

        pub(crate) const CASES: &[$crate::engines::Case] = &[
            $($crate::engines::Case { name: stringify!($name), run: || Box::pin($name()) }),*
        ];
    };
}
