//! What a response says about being kept by caches, derived from what it depends on (RFC 9111).

use std::borrow::Cow;

use wayside_decide::dependence::Dependence;

/// How long a shared cache may keep a decision, in seconds, unless it holds for a shorter time.
const SHARED_MAX_AGE_S: u64 = 60;

/// What a response says to caches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Caching {
    keeping: Keeping,
    /// The request fields that chose the response.
    vary: Option<String>,
}

/// Who may keep a response; the stricter is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Keeping {
    /// The status code's own rules hold.
    #[default]
    Unsaid,
    /// Anybody, for this many seconds.
    Shared(u64),
    /// Only the visitor's own program, which asks again.
    Private,
    /// Nobody.
    Nobody,
}

impl Caching {
    /// For what no cache that serves more than one visitor may keep.
    pub(crate) const PRIVATE: Self = Self {
        keeping: Keeping::Private,
        vary: None,
    };
    /// For what holds without a decision.
    pub(crate) const NOT_KEPT: Self = Self {
        keeping: Keeping::Nobody,
        vary: None,
    };

    /// What follows from a decision's dependence. `holds_until` and `now_s` are seconds since 1970 UTC.
    pub(crate) fn of(dependence: &Dependence, holds_until: Option<u64>, now_s: u64) -> Self {
        if dependence.is_fallback() {
            return Self::NOT_KEPT;
        }
        if dependence.is_private() {
            return Self::PRIVATE;
        }
        let rest = holds_until.map_or(u64::MAX, |until| until.saturating_sub(now_s));
        let fields: Vec<&str> = dependence.fields().collect();
        Self {
            keeping: Keeping::Shared(SHARED_MAX_AGE_S.min(rest)),
            vary: (!fields.is_empty()).then(|| fields.join(", ")),
        }
    }

    /// For a response of another step that this decision led to: its own caching, made as strict as the decision's.
    pub(crate) fn before(self, then: &Self) -> Self {
        let keeping = match (self.keeping, then.keeping) {
            (Keeping::Nobody, _) | (_, Keeping::Nobody) => Keeping::Nobody,
            (Keeping::Private, _) | (_, Keeping::Private) => Keeping::Private,
            (Keeping::Shared(one), Keeping::Shared(other)) => Keeping::Shared(one.min(other)),
            // The step itself says nothing of how long it holds.
            (_, Keeping::Unsaid) => Keeping::Unsaid,
            (Keeping::Unsaid, Keeping::Shared(seconds)) => Keeping::Shared(seconds),
        };
        let vary = match (self.vary, &then.vary) {
            (Some(one), Some(other)) => Some(format!("{one}, {other}")),
            (one, other) => one.or_else(|| other.clone()),
        };
        Self { keeping, vary }
    }

    /// The value of `Cache-Control`.
    pub(crate) fn cache_control(&self) -> Option<Cow<'static, str>> {
        Some(match self.keeping {
            Keeping::Unsaid => return None,
            Keeping::Shared(seconds) => format!("public, max-age={seconds}").into(),
            Keeping::Private => "private, no-cache".into(),
            Keeping::Nobody => "no-store".into(),
        })
    }

    /// The value of `Vary`.
    pub(crate) fn vary(&self) -> Option<&str> {
        self.vary.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use wayside_decide::{dependence::Dependence, question::Question};

    use super::Caching;

    fn of(questions: &[Question], holds_until: Option<u64>) -> (Option<String>, Option<String>) {
        let mut dependence = Dependence::default();
        questions.iter().for_each(|question| dependence.add(question));
        let caching = Caching::of(&dependence, holds_until, 1_000);
        (
            caching.cache_control().map(Into::into),
            caching.vary().map(str::to_owned),
        )
    }

    #[test]
    fn caches_are_told_what_the_questions_imply() {
        let told = |control: &str, vary: Option<&str>| (Some(control.to_owned()), vary.map(str::to_owned));
        assert_eq!(of(&[Question::Path], None), told("public, max-age=60", None));
        assert_eq!(of(&[Question::Path], Some(1_007)), told("public, max-age=7", None));
        let language = Question::Prefers(Box::default());
        let both = [language, Question::Header("x-a".into())];
        assert_eq!(
            of(&both, None),
            told("public, max-age=60", Some("accept-language, x-a"))
        );
        assert_eq!(
            of(&[Question::Path, Question::Country], None),
            told("private, no-cache", None)
        );
    }

    #[test]
    fn what_a_decision_leads_to_is_kept_no_longer_than_the_decision() {
        let shared = |field: &str| {
            let mut dependence = Dependence::default();
            dependence.add(&Question::Header(field.into()));
            Caching::of(&dependence, Some(1_010), 1_000)
        };
        let told = |caching: &Caching| {
            (
                caching.cache_control().map(String::from),
                caching.vary().map(str::to_owned),
            )
        };
        let both = shared("x-a").before(&shared("x-b"));
        assert_eq!(
            told(&both),
            (Some("public, max-age=10".to_owned()), Some("x-a, x-b".to_owned()))
        );
        let unsaid = shared("x-a").before(&Caching::default());
        assert_eq!(told(&unsaid), (None, Some("x-a".to_owned())));
        assert_eq!(
            Caching::PRIVATE.before(&shared("x-b")).cache_control().as_deref(),
            Some("private, no-cache")
        );
        assert_eq!(Caching::NOT_KEPT.before(&Caching::PRIVATE), Caching::NOT_KEPT);
    }
}
