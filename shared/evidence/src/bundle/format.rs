//! `format.txt`: the version of the bundle, how much it opens, which entries it covers, what it was filtered by, and whether
//! views stand in it.

use super::BUNDLE_FORMAT;
use super::filter::Filter;
use super::level::LEVEL_MAX;
use crate::encode::EncodeError;

/// What `format.txt` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) level: u8,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) filter: Option<Filter>,
    pub(super) views: bool,
}

impl Format {
    pub(super) fn to_text(&self) -> Result<String, EncodeError> {
        let Self {
            level, from, to, filter, ..
        } = self;
        let filter = filter.as_ref().map_or_else(|| Ok("none".to_owned()), Filter::to_text)?;
        let views = if self.views { "yes" } else { "no" };
        Ok(format!(
            "{BUNDLE_FORMAT}\nlevel {level}\nrange {from} {to}\nfilter {filter}\nviews {views}\n"
        ))
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        if lines.next()? != BUNDLE_FORMAT {
            return None;
        }
        let level: u8 = lines.next()?.strip_prefix("level ")?.parse().ok()?;
        let (from, to) = lines.next()?.strip_prefix("range ")?.split_once(' ')?;
        let filter = match lines.next()?.strip_prefix("filter ")? {
            "none" => None,
            json => Some(Filter::parse(json)?),
        };
        let format = Self {
            level,
            from: from.parse().ok()?,
            to: to.parse().ok()?,
            filter,
            views: lines.next()? == "views yes",
        };
        (level <= LEVEL_MAX && format.to_text().is_ok_and(|again| again == text)).then_some(format)
    }

    /// Whether an entry lies in the range.
    pub(super) fn covers(&self, index: u64) -> bool {
        (self.from..self.to).contains(&index)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn it_reads_back_and_has_one_form() {
        let format = Format {
            level: 3,
            from: 5,
            to: 9,
            filter: Filter::parse("{\"actors\":[\"ada\"]}"),
            views: true,
        };
        assert_eq!(Format::parse(&format.to_text().unwrap()).unwrap(), format);
        let plain = Format::default().to_text().unwrap();
        assert_eq!(plain, "chunkctl.dev/bundle/v1\nlevel 0\nrange 0 0\nfilter none\nviews no\n");
        for (from, to) in [
            ("level 0", "level 5"),
            ("level 0", "level 00"),
            ("0 0", "0 +0"),
            ("none", "1"),
            ("none", "{}"),
            ("no\n", "no"),
            ("no\n", "no\n\n"),
            ("no\n", "maybe\n"),
            ("views no\n", ""),
        ] {
            assert_eq!(Format::parse(&plain.replacen(from, to, 1)), None, "{to}");
        }
    }
}
