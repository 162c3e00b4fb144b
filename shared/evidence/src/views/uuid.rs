//! Names that are the same whenever a document is made again: version 5 UUIDs (RFC 9562).

use crate::encode::to_hex;

/// Name space of everything that chunkctl names: version 5 of `https://chunkctl.dev/oscal` in the name space of URLs.
const SPACE: [u8; 16] = [
    0x1c, 0x91, 0x89, 0x97, 0x5e, 0xe1, 0x55, 0xad, 0x8a, 0x1a, 0x1c, 0x66, 0x6e, 0xcf, 0x96, 0x89,
];

/// The UUID of a name.
pub(super) fn uuid(name: &str) -> String {
    uuid_in(&SPACE, name)
}

fn uuid_in(space: &[u8; 16], name: &str) -> String {
    // RFC 9562 prescribes SHA-1 for version 5; nothing here rests on its strength.
    let mut context = ring::digest::Context::new(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(space);
    context.update(name.as_bytes());
    let digest = context.finish();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(digest.as_ref().get(..16).unwrap_or(&[0; 16]));
    let [.., version, _, variant, _, _, _, _, _, _, _] = &mut bytes;
    *version = *version & 0x0f | 0x50;
    *variant = *variant & 0x3f | 0x80;
    let hex = to_hex(&bytes);
    let part = |from, to| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name space of URLs.
    const URL: [u8; 16] = [
        0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8,
    ];

    #[test]
    fn names_are_those_any_other_library_gives() {
        // python3 -c 'import uuid; print(uuid.uuid5(uuid.NAMESPACE_URL, "https://chunkctl.dev/oscal"))'
        let space = to_hex(&SPACE);
        assert_eq!(uuid_in(&URL, "https://chunkctl.dev/oscal").replace('-', ""), space);
        assert_eq!(uuid_in(&URL, "https://chunkctl.dev/oscal"), "1c918997-5ee1-55ad-8a1a-1c666ecf9689");
    }
}
