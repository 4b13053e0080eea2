//! What a response says about being kept by caches, derived from what it depends on (RFC 9111).

use std::borrow::Cow;

use wayside_decide::dependence::Dependence;

/// How long a shared cache may keep a decision, in seconds, unless it holds for a shorter time or its site says otherwise.
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

impl Keeping {
    fn shared(max_age_s: Option<u32>, holds_until: Option<u64>, now_s: u64) -> Self {
        let rest = holds_until.map_or(u64::MAX, |until| until.saturating_sub(now_s));
        let most = max_age_s.map_or(SHARED_MAX_AGE_S, u64::from);
        if most == 0 {
            Self::Nobody
        } else {
            Self::Shared(most.min(rest))
        }
    }

    fn recorded(max_age_s: Option<u32>, holds_until: Option<u64>, now_s: u64) -> Self {
        match (max_age_s, holds_until) {
            (None, None) => Self::Unsaid,
            _ => Self::shared(max_age_s, holds_until, now_s),
        }
    }
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

    /// What follows from the dependence of a decision that is the answer. `max_age_s` is the site's own limit;
    /// `holds_until` and `now_s` are seconds since 1970 UTC.
    pub(crate) fn of(dependence: &Dependence, max_age_s: Option<u32>, holds_until: Option<u64>, now_s: u64) -> Self {
        Self::by(dependence, max_age_s, || Keeping::shared(max_age_s, holds_until, now_s))
    }

    /// What follows from the dependence of a decision to go on: as [`Caching::of_record`], it says nothing of what comes
    /// then unless there is a reason to. Same units as above.
    pub(crate) fn of_going_on(
        dependence: &Dependence,
        max_age_s: Option<u32>,
        holds_until: Option<u64>,
        now_s: u64,
    ) -> Self {
        Self::by(dependence, max_age_s, || {
            Keeping::recorded(max_age_s, holds_until, now_s)
        })
    }

    fn by(dependence: &Dependence, max_age_s: Option<u32>, keeping: impl FnOnce() -> Keeping) -> Self {
        if dependence.is_fallback() || max_age_s == Some(0) {
            return Self::NOT_KEPT;
        }
        if dependence.is_private() {
            return Self::PRIVATE;
        }
        let fields: Vec<&str> = dependence.fields().collect();
        Self {
            keeping: keeping(),
            vary: (!fields.is_empty()).then(|| fields.join(", ")),
        }
    }

    /// For a response that depends on nothing but what the site's owner recorded. Nothing is said unless there is a
    /// reason to: the site's own limit, or that it will change. Same units as above.
    pub(crate) fn of_record(max_age_s: Option<u32>, holds_until: Option<u64>, now_s: u64) -> Self {
        Self {
            keeping: Keeping::recorded(max_age_s, holds_until, now_s),
            vary: None,
        }
    }

    /// For a response of another step that this decision led to: its own caching, made as strict as the decision's.
    pub(crate) fn before(self, then: &Self) -> Self {
        let keeping = match (self.keeping, then.keeping) {
            (Keeping::Nobody, _) | (_, Keeping::Nobody) => Keeping::Nobody,
            (Keeping::Private, _) | (_, Keeping::Private) => Keeping::Private,
            (Keeping::Shared(one), Keeping::Shared(other)) => Keeping::Shared(one.min(other)),
            (Keeping::Shared(seconds), Keeping::Unsaid) | (Keeping::Unsaid, Keeping::Shared(seconds)) => {
                Keeping::Shared(seconds)
            }
            (Keeping::Unsaid, Keeping::Unsaid) => Keeping::Unsaid,
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
        let caching = Caching::of(&dependence, None, holds_until, 1_000);
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
        let both = [language, Question::Header("accept".into())];
        assert_eq!(
            of(&both, None),
            told("public, max-age=60", Some("accept, accept-language"))
        );
        assert_eq!(
            of(&[Question::Path, Question::Country], None),
            told("private, no-cache", None)
        );
    }

    #[test]
    fn a_site_says_how_long_its_redirects_are_kept() {
        let of = |max_age_s, holds_until| {
            let decided = Caching::of(&Dependence::default(), max_age_s, holds_until, 1_000);
            let recorded = Caching::of_record(max_age_s, holds_until, 1_000);
            [decided, recorded].map(|caching| caching.cache_control().map(String::from))
        };
        let both = |control: &str| [Some(control.to_owned()), Some(control.to_owned())];
        assert_eq!(of(None, None), [Some("public, max-age=60".to_owned()), None]);
        assert_eq!(of(None, Some(1_005)), both("public, max-age=5"));
        assert_eq!(of(Some(3_600), None), both("public, max-age=3600"));
        assert_eq!(of(Some(3_600), Some(1_100)), both("public, max-age=100"));
        assert_eq!(of(Some(0), None), both("no-store"));
        let mut private = Dependence::default();
        private.add(&Question::Country);
        assert_eq!(Caching::of(&private, Some(3_600), None, 1_000), Caching::PRIVATE);
        assert_eq!(Caching::of(&private, Some(0), None, 1_000), Caching::NOT_KEPT);
    }

    #[test]
    fn what_a_decision_leads_to_is_kept_no_longer_than_the_decision() {
        let dependence = |field: &str| {
            let mut dependence = Dependence::default();
            dependence.add(&Question::Header(field.into()));
            dependence
        };
        let shared = |field: &str| Caching::of(&dependence(field), None, Some(1_010), 1_000);
        let goes_on = |holds_until| Caching::of_going_on(&dependence("accept"), None, holds_until, 1_000);
        let told = |caching: &Caching| {
            (
                caching.cache_control().map(String::from),
                caching.vary().map(str::to_owned),
            )
        };
        let both = goes_on(Some(1_005)).before(&shared("referer"));
        assert_eq!(
            told(&both),
            (Some("public, max-age=5".to_owned()), Some("accept, referer".to_owned()))
        );
        let is_over_before = goes_on(Some(1_050)).before(&shared("referer"));
        assert_eq!(is_over_before.cache_control().as_deref(), Some("public, max-age=10"));
        // What says nothing by itself would be kept for as long as a cache likes (RFC 9111 §4.2.2).
        let ends = goes_on(Some(1_007)).before(&Caching::default());
        assert_eq!(
            told(&ends),
            (Some("public, max-age=7".to_owned()), Some("accept".to_owned()))
        );
        let unsaid = goes_on(None).before(&Caching::default());
        assert_eq!(told(&unsaid), (None, Some("accept".to_owned())));
        assert_eq!(
            Caching::PRIVATE.before(&shared("referer")).cache_control().as_deref(),
            Some("private, no-cache")
        );
        assert_eq!(Caching::NOT_KEPT.before(&Caching::PRIVATE), Caching::NOT_KEPT);
    }
}
