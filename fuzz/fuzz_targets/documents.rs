//! What a Talos extension says of itself: manifest, service, part of containerd's configuration, the
//! range of versions.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tdg::format::compatibility::{Range, talos};
use tdg::format::cri::{Config, shim};
use tdg::format::service::Service;
use tdg::format::{Limits, extensions};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits::default();
    let _ = extensions::read_manifest(bytes, &limits);
    if let Ok(service) = Service::read(bytes, &limits) {
        let _ = service.faults();
        let _ = service.mounts().count();
    }
    if let Ok(config) = Config::read(bytes, &limits) {
        for runtime in &config.runtimes {
            let _ = runtime.kind.as_deref().and_then(shim);
        }
    }
    let text = String::from_utf8_lossy(bytes);
    if let (Ok(range), Ok(version)) = (Range::read(&text), talos("v1.13.6")) {
        let _ = range.holds(&version);
    }
    let _ = talos(&text);
});
