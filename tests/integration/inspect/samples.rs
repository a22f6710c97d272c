//! Small files made by hand, for which no tool of others is at hand everywhere.

/// An arm64 `Image` of a release.
pub(crate) fn kernel(release: &str) -> Vec<u8> {
    let mut image = vec![0u8; 4096];
    image[8..16].copy_from_slice(&0x8_0000u64.to_le_bytes());
    image[16..24].copy_from_slice(&8192u64.to_le_bytes());
    image[24] = 0b1010;
    image[0x38..0x3c].copy_from_slice(b"ARM\x64");
    image.extend_from_slice(
        format!("Linux version {release} (someone@somewhere) #1 SMP\n\0").as_bytes(),
    );
    image
}

/// A PE file for arm64 with these sections.
pub(crate) fn uki(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let mut file = vec![0u8; 64];
    file[..2].copy_from_slice(b"MZ");
    file[0x3c] = 64;
    file.extend_from_slice(b"PE\0\0\x64\xaa");
    file.extend_from_slice(&u16::try_from(sections.len()).unwrap().to_le_bytes());
    file.resize(64 + 24, 0);
    let mut at = file.len() + sections.len() * 40;
    for (name, content) in sections {
        let mut header = [0u8; 40];
        header[..name.len()].copy_from_slice(name.as_bytes());
        let size = u32::try_from(content.len()).unwrap().to_le_bytes();
        header[8..12].copy_from_slice(&size);
        header[16..20].copy_from_slice(&size);
        header[20..24].copy_from_slice(&u32::try_from(at).unwrap().to_le_bytes());
        file.extend_from_slice(&header);
        at += content.len();
    }
    sections
        .iter()
        .for_each(|(_, content)| file.extend_from_slice(content));
    file
}
