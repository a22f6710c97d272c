//! matchbox's groups and profiles: what is taken can be matched, and its addresses have one form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use tdg::format::matchbox::{Group, Profile, labels, location, mac, select};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(profile) = Profile::parse(bytes) {
        assert!(!profile.id.is_empty());
        let script = profile.script();
        assert_eq!(script.is_some(), profile.boot.is_some());
        for arguments in profile.boot.iter().flat_map(|boot| &boot.initrd) {
            assert!(location(arguments).is_none_or(|url| !url.starts_with('-')));
        }
    }
    if let Some(usual) = std::str::from_utf8(bytes).ok().and_then(mac) {
        assert_eq!(mac(&usual).as_ref(), Some(&usual));
    }
    if let Ok(group) = Group::parse(bytes) {
        // A machine that says what is asked gets the group, and one more selector wins over it.
        let said = labels(&group.selector);
        assert!(group.matches(&said));
        let mut closer = group.clone();
        closer.selector.insert("one\0more".into(), String::new());
        let more = BTreeMap::from([("one\0more".to_owned(), String::new())]);
        let all = said.clone().into_iter().chain(more).collect();
        let groups = [group.clone(), group, closer];
        if !groups[0].selector.contains_key("one\0more") {
            assert_eq!(select(&groups, &said), [0, 1]);
            assert_eq!(select(&groups, &all), [2]);
        }
    }
});
