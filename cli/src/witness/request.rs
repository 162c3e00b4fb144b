//! What is asked: the body of `add-checkpoint`, read strictly.
//!
//! ```text
//! old SIZE
//! zero or more hashes, base64
//!
//! a checkpoint
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chunk_evidence::checkpoint::Checkpoint;
use chunk_evidence::cosignature::{read_head, read_size};
use chunk_evidence::merkle::Hash;
use chunk_evidence::note::Note;

/// Hashes of a consistency proof at most: no tree needs more.
const PROOF_HASHES_MAX: usize = 63;

/// A checkpoint, and the proof that it extends an older tree. Nothing in it is believed yet.
#[derive(Debug)]
pub(crate) struct AddCheckpoint {
    /// Size of the older tree.
    pub(crate) old: u64,
    /// Proof from the older tree to the checkpoint's.
    pub(crate) proof: Vec<Hash>,
    /// The checkpoint as it is signed.
    pub(crate) note: Note,
    /// What its text says.
    pub(crate) head: Checkpoint,
}

impl AddCheckpoint {
    /// Reads a body.
    ///
    /// # Errors
    /// With what is wrong with its form.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(body).map_err(|_| "the request is not UTF-8")?;
        let (lines, checkpoint) = text.split_once("\n\n").ok_or("there is no empty line before the checkpoint")?;
        let mut lines = lines.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(read_size);
        let old = old.ok_or("the first line is not `old` and a size")?;
        let proof: Option<Vec<Hash>> = lines.map(hash).collect();
        let proof = proof.ok_or("a line of the consistency proof is not a hash in base64")?;
        if proof.len() > PROOF_HASHES_MAX {
            return Err("the consistency proof has more than 63 hashes");
        }
        let note = Note::parse(checkpoint).map_err(|_| "the checkpoint is not a signed note")?;
        let head = read_head(note.text()).map_err(|_| "the signed note is not a checkpoint")?;
        Ok(Self { old, proof, note, head })
    }
}

fn hash(line: &str) -> Option<Hash> {
    STANDARD.decode(line).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// The example of tlog-witness.
    const EXAMPLE: &str = "old 20852014\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\njrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\
        5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\n\
        example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
        \u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
        \u{2014} example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=\n";

    #[test]
    fn the_example_of_the_specification_reads() {
        let asked = AddCheckpoint::parse(EXAMPLE.as_bytes()).unwrap();
        assert_eq!((asked.old, asked.proof.len()), (20_852_014, 4));
        assert_eq!(
            (asked.head.origin.as_str(), asked.head.size),
            ("example.com/behind-the-sofa", 20_852_163)
        );
    }

    #[test]
    fn every_other_form_is_refused() {
        let proof = "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n";
        for (change, to) in [
            ("old 20852014", "old 020852014"),
            ("old 20852014", "old +20852014"),
            ("old 20852014", "old 18446744073709551616"),
            ("old 20852014", "old  20852014"),
            ("old 20852014", "old"),
            ("old 20852014", "Old 20852014"),
            ("old 20852014\n", ""),
            ("old 20852014\n", "old 20852014\r\n"),
            (proof, "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw\n"),
            (proof, "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkax=\n"),
            (proof, "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkQ==\n"),
            (proof, "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw= \n"),
            (proof, &proof.repeat(61)),
            ("\n\nexample.com", "\nexample.com"),
            ("\n20852163\n", "\n020852163\n"),
            ("\n\n\u{2014}", "\n\u{2014}"),
            ("McTOAYQ8=\n", "McTOAYQ8\n"),
        ] {
            assert!(EXAMPLE.contains(change), "{change}");
            let text = EXAMPLE.replacen(change, to, 1);
            assert!(AddCheckpoint::parse(text.as_bytes()).is_err(), "{change:?} to {to:?}");
        }
        assert!(
            AddCheckpoint::parse(EXAMPLE.replacen(proof, &proof.repeat(60), 1).as_bytes()).is_ok(),
            "63 hashes are allowed"
        );
        for cut in 0..EXAMPLE.len() {
            // A checkpoint may lose its last signature and is still one; everything else is noticed.
            let whole_lines = EXAMPLE.as_bytes().get(..cut).unwrap();
            let read = AddCheckpoint::parse(whole_lines);
            assert!(read.is_err() || whole_lines.ends_with(b"McTOAYQ8=\n"), "cut at {cut}");
        }
    }
}
