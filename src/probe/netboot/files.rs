//! What scripts of iPXE load, with all that was seen of it.

use super::course::{Course, Place, made};
use super::fetch::{Missed, Who};
use super::{Fault, File};
use crate::format::Source;
use crate::format::ipxe::walk::plain;
use crate::format::ipxe::{Failed, Fetch, Loaded, script};
use std::collections::BTreeMap;
use std::time::Instant;
use url::Url;

/// What iPXE's download gives to its scripts, with all that was seen of it.
pub(super) struct Files<'c, 'a> {
    course: &'c mut Course<'a>,
    pub(super) files: BTreeMap<String, (File, Source)>,
    /// What could not be had, and how that is told.
    pub(super) missed: Vec<(Fault, String)>,
    /// What no script has an answer to, because nothing ends.
    pub(super) deadly: Option<(Fault, String)>,
    pub(super) local: Option<String>,
    /// Which server gave no answer, the last of them.
    pub(super) silent: Option<String>,
    /// Where the last file was in the end.
    led_to: Option<Url>,
}

impl<'c, 'a> Files<'c, 'a> {
    pub(super) fn new(course: &'c mut Course<'a>) -> Self {
        Self {
            course,
            files: BTreeMap::new(),
            missed: Vec::new(),
            deadly: None,
            local: None,
            silent: None,
            led_to: None,
        }
    }
}

impl Fetch for Files<'_, '_> {
    fn over(&self) -> bool {
        let asking = self.course.asking;
        asking.cancel.is_set() || Instant::now() >= asking.deadline
    }

    fn led_to(&self) -> Option<Url> {
        self.led_to.clone()
    }

    fn fetch(&mut self, url: &Url) -> Result<Loaded, Failed> {
        let shown = plain(url.as_str());
        self.led_to = None;
        let (body, looked) = match self.course.fetch(&Place::Url(url), Who::Ipxe) {
            Ok(came) => came,
            Err(missed) => {
                let (failed, said) = match missed {
                    Missed::Fault(Fault::NotFound, why) => {
                        self.missed.push((Fault::NotFound, why.clone()));
                        let said = match url.scheme() {
                            "tftp" => " Not found (https://ipxe.org/2d12618e)",
                            _ => " Not found (https://ipxe.org/2d0c618e)",
                        };
                        (Failed::Refused(why), said)
                    }
                    Missed::Fault(fault, why) => {
                        if fault == Fault::NoLength {
                            self.deadly
                                .get_or_insert((fault, format!("{shown}: {why}")));
                        }
                        self.missed.push((fault, why.clone()));
                        (Failed::Refused(why), "")
                    }
                    Missed::Unreachable(why) => {
                        self.silent = Some(format!("{shown}: {why}"));
                        (Failed::Unreachable(why), " Connection timed out")
                    }
                    Missed::Local(why) => {
                        self.local.get_or_insert(why.clone());
                        (Failed::Unreachable(why), "")
                    }
                };
                self.course.console.say(format!("{shown}...{said}"));
                return Err(failed);
            }
        };
        self.course.console.say(format!("{shown}... ok"));
        self.led_to.clone_from(&body.url);
        let file = made(shown.clone(), "", &body, &looked);
        self.files.insert(shown, (file, body.source.clone()));
        if looked.content == "script" {
            // One byte more than may be: the reader of scripts says that it is too much.
            let bytes = body.source.up_to(0, script::MAX_SCRIPT + 1);
            return bytes
                .map(|bytes| Loaded::Script(bytes.to_vec()))
                .map_err(|error| Failed::Unreachable(error.to_string()));
        }
        Ok(Loaded::Other {
            content: looked.content.to_owned(),
            pe_machine: looked.pe_machine,
            size: Some(body.size),
        })
    }
}
