//! Several checks at one image: each of its layers is opened once, and nobody waits for ever.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tdg::format::Limits;
use tdg::image::Image;

use crate::layouts::{LAYER, Layout, archive};
use crate::world::World;

/// Whoever opens a layer makes the others wait for it, and opening is work for several threads. If
/// one of them may take up other work meanwhile, and that is somebody's who waits for the same
/// layer, both wait for each other.
#[test]
fn many_threads_open_the_layers_of_one_image_and_all_of_them_end() {
    let world = World::new();
    let layout = Layout::new(&world.path().join("image"));
    let layers: Vec<Vec<u8>> = (0..6)
        .map(|number| archive(&[(&format!("file-{number}"), &[b'x'; 3000])]))
        .collect();
    let described: Vec<_> = layers.iter().map(|l| layout.blob(LAYER, l)).collect();
    let diff_ids: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    layout.index(&[layout.image("arm64", &described, &diff_ids)]);
    let path = layout.path().to_owned();
    let (done, ended) = mpsc::channel();
    // Not joined where it hangs: the test ends without it.
    thread::spawn(move || {
        for _ in 0..400 {
            let image = Image::open(&path, Limits::default()).unwrap();
            thread::scope(|scope| {
                for first in 0..8 {
                    let image = &image;
                    scope.spawn(move || match first {
                        0 | 1 => assert_eq!(image.merged().unwrap().entries().len(), 6),
                        _ => {
                            let oci = image.oci().unwrap().unwrap();
                            let (_, picture) = oci.pictures()[0];
                            for layer in picture.layers.iter().cycle().skip(first).take(6) {
                                layer.open(image.limits()).unwrap();
                            }
                        }
                    });
                }
            });
            done.send(()).unwrap();
        }
    });
    for round in 0..400 {
        let waited = ended.recv_timeout(Duration::from_secs(20));
        assert!(waited.is_ok(), "round {round} does not end: {waited:?}");
    }
}
