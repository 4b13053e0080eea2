//! What one run of a guest can reach: the recorder through which it asks, its log, and its limits.
//!
//! In: the guest's calls. Out: answers, written down as they are given. Nothing here outlives the run.

use std::io;

use wasmtime::ResourceLimiter;
use wayside_decide::{
    decision::Failure,
    invalid::Invalid,
    question::{Answer, Question},
    trace::Recorder,
};

use crate::{
    bindings::wayside::policy::{clock, decisions, link, log, node, plans, request, settings, streams, visitor},
    conv,
    limits::Class,
    note::Notes,
};

/// The host's side of one run.
pub(crate) struct Sandbox {
    pub(crate) recorder: Recorder,
    pub(crate) notes: Notes,
    pub(crate) limiter: Limiter,
}

impl Sandbox {
    pub(crate) fn new(recorder: Recorder, class: Class) -> Self {
        Self {
            recorder,
            notes: Notes::default(),
            limiter: Limiter {
                class,
                was_refused_memory: false,
                memory_peak_bytes: 0,
            },
        }
    }

    /// Asks on the record. A failure ends the run as a trap, and is found again in the error, typed.
    fn ask(&mut self, question: Question) -> wasmtime::Result<Answer> {
        Ok(self.recorder.ask(question)?)
    }

    fn ask_checked(&mut self, question: Result<Question, Invalid>) -> wasmtime::Result<Answer> {
        self.ask(question.map_err(Failure::InvalidQuestion)?)
    }

    fn text(&mut self, question: Question) -> wasmtime::Result<String> {
        Ok(conv::to_text(&self.ask(question)?))
    }

    fn optional_text(&mut self, question: Question) -> wasmtime::Result<Option<String>> {
        Ok(conv::to_optional_text(&self.ask(question)?))
    }

    fn flag(&mut self, question: Question) -> wasmtime::Result<bool> {
        Ok(self.ask(question)?.is_yes())
    }
}

impl request::Host for Sandbox {
    fn method(&mut self) -> wasmtime::Result<String> {
        self.text(Question::Method)
    }

    fn scheme(&mut self) -> wasmtime::Result<String> {
        self.text(Question::Scheme)
    }

    fn host(&mut self) -> wasmtime::Result<String> {
        self.text(Question::Host)
    }

    fn path(&mut self) -> wasmtime::Result<String> {
        self.text(Question::Path)
    }

    fn segment(&mut self, index: u32) -> wasmtime::Result<Option<String>> {
        self.optional_text(Question::Segment(index))
    }

    fn query(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(conv::to_optional_text(&self.ask_checked(conv::query(name))?))
    }

    fn header(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(conv::to_optional_text(&self.ask_checked(conv::header(name))?))
    }

    fn cookie(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(conv::to_optional_text(&self.ask_checked(conv::cookie(name))?))
    }

    fn prefers(&mut self, languages: Vec<String>) -> wasmtime::Result<Option<String>> {
        Ok(conv::to_optional_text(&self.ask_checked(conv::prefers(languages))?))
    }
}

impl visitor::Host for Sandbox {
    fn country(&mut self) -> wasmtime::Result<Option<String>> {
        self.optional_text(Question::Country)
    }

    fn continent(&mut self) -> wasmtime::Result<Option<String>> {
        self.optional_text(Question::Continent)
    }

    fn subdivision(&mut self) -> wasmtime::Result<Option<String>> {
        self.optional_text(Question::Subdivision)
    }

    fn city(&mut self) -> wasmtime::Result<Option<String>> {
        self.optional_text(Question::City)
    }

    fn time_zone(&mut self) -> wasmtime::Result<Option<String>> {
        self.optional_text(Question::TimeZone)
    }

    fn in_eu(&mut self) -> wasmtime::Result<bool> {
        self.flag(Question::InEu)
    }

    fn asn(&mut self) -> wasmtime::Result<Option<u32>> {
        Ok(conv::to_optional_number(&self.ask(Question::Asn)?))
    }

    fn in_network(&mut self, networks: Vec<String>) -> wasmtime::Result<bool> {
        Ok(self.ask_checked(conv::in_network(&networks))?.is_yes())
    }

    fn nearest(&mut self, points: Vec<visitor::Point>) -> wasmtime::Result<Option<String>> {
        Ok(conv::to_optional_text(&self.ask_checked(conv::nearest(points))?))
    }

    fn device(&mut self) -> wasmtime::Result<visitor::DeviceClass> {
        Ok(conv::to_device(&self.ask(Question::Device)?))
    }

    fn os(&mut self) -> wasmtime::Result<String> {
        self.text(Question::Os)
    }

    fn browser(&mut self) -> wasmtime::Result<String> {
        self.text(Question::Browser)
    }

    fn bot(&mut self) -> wasmtime::Result<bool> {
        self.flag(Question::Bot)
    }

    fn bucket(&mut self, salt: String, count: u32) -> wasmtime::Result<u32> {
        let answer = self.ask_checked(conv::bucket(salt, count))?;
        Ok(conv::to_optional_number(&answer).unwrap_or(0))
    }
}

impl link::Host for Sandbox {
    fn exists(&mut self) -> wasmtime::Result<bool> {
        self.flag(Question::LinkExists)
    }

    fn key(&mut self) -> wasmtime::Result<Option<String>> {
        self.optional_text(Question::LinkKey)
    }

    fn target(&mut self) -> wasmtime::Result<Option<String>> {
        self.optional_text(Question::LinkTarget)
    }

    fn tags(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(conv::to_list(&self.ask(Question::LinkTags)?))
    }

    fn attribute(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(conv::to_optional_text(&self.ask_checked(conv::attribute(name))?))
    }
}

impl clock::Host for Sandbox {
    fn at_or_after(&mut self, instant: u64) -> wasmtime::Result<bool> {
        self.flag(Question::AtOrAfter(instant))
    }

    fn weekday(&mut self, zone: String) -> wasmtime::Result<u8> {
        Ok(conv::to_small_number(&self.ask_checked(conv::weekday(&zone))?))
    }

    fn hour(&mut self, zone: String) -> wasmtime::Result<u8> {
        Ok(conv::to_small_number(&self.ask_checked(conv::hour(&zone))?))
    }
}

impl node::Host for Sandbox {
    fn region(&mut self) -> wasmtime::Result<Option<String>> {
        self.optional_text(Question::Region)
    }

    fn pop(&mut self) -> wasmtime::Result<Option<String>> {
        self.optional_text(Question::Pop)
    }
}

impl settings::Host for Sandbox {
    fn get(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(conv::to_optional_text(&self.ask_checked(conv::setting(name))?))
    }
}

impl streams::Host for Sandbox {
    fn asset(&mut self) -> wasmtime::Result<Option<String>> {
        self.optional_text(Question::AssetId)
    }

    fn tags(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(conv::to_list(&self.ask(Question::AssetTags)?))
    }

    fn attribute(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(conv::to_optional_text(&self.ask_checked(conv::asset_attribute(name))?))
    }

    fn targets(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(conv::to_list(&self.ask(Question::AssetTargets)?))
    }

    fn region(&mut self, target: String) -> wasmtime::Result<Option<String>> {
        Ok(conv::to_optional_text(&self.ask_checked(conv::target_region(target))?))
    }
}

impl log::Host for Sandbox {
    fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        self.notes.write(conv::level(level), &message);
        Ok(())
    }
}

impl decisions::Host for Sandbox {}

impl plans::Host for Sandbox {}

/// The operating system had no memory for a guest that was within its cap. Says nothing about the guest.
#[derive(Debug, thiserror::Error)]
#[error("this node is out of memory: {0}")]
pub(crate) struct HostMemory(String);

/// Caps a guest's memory and tables. Whether growing succeeds depends on nothing but the cap: otherwise a decision
/// could depend on how busy the node is.
pub(crate) struct Limiter {
    pub(crate) class: Class,
    pub(crate) was_refused_memory: bool,
    pub(crate) memory_peak_bytes: usize,
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let is_within = desired <= self.class.memory_bytes_max() && maximum.is_none_or(|maximum| desired <= maximum);
        self.was_refused_memory |= !is_within;
        if is_within {
            self.memory_peak_bytes = self.memory_peak_bytes.max(desired);
        }
        Ok(is_within)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        // Anything but an error of the operating system is a limit of the guest's own, and the same every time.
        if error.downcast_ref::<io::Error>().is_some() {
            return Err(HostMemory(error.to_string()).into());
        }
        Ok(())
    }

    fn table_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let is_within = desired <= self.class.table_elements_max();
        Ok(is_within && maximum.is_none_or(|maximum| desired <= maximum))
    }
}
