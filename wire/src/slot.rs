//! The build slot, and the tagset that stands for it in the protocol.

use std::collections::BTreeSet;

/// What identifies a build slot: the package, the machine and the tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The name under which servers list results.
    pub package: String,
    /// The name of the machine.
    pub host: String,
    /// Its platform as Python names it: `linux-x86_64`.
    pub arch: String,
    /// In the client's order, which a tagset does not keep.
    pub tags: Vec<String>,
}

impl Slot {
    /// The slot as servers compare it.
    pub fn tagset(&self) -> Tagset {
        let Self { package, host, arch, tags } = self;
        let identity = [format!("__package={package}"), format!("__arch={arch}"), format!("__host={host}")];
        tags.iter().cloned().chain(identity).collect()
    }
}

/// A slot as servers compare it: its tags and `__package=`, `__arch=` and `__host=` entries, as a set.
pub type Tagset = BTreeSet<String>;

/// The tags that are meant for people: those that do not begin with `__`.
pub fn visible_tags(tagset: &Tagset) -> impl Iterator<Item = &str> {
    tagset.iter().map(String::as_str).filter(|tag| !tag.starts_with("__"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tagset_is_the_tags_and_the_slot_s_identity() {
        let [package, host, arch] = ["p", "h", "linux-x86_64"].map(str::to_owned);
        let tags = ["b", "a", "__hidden"].map(str::to_owned).to_vec();
        let tagset = Slot { package, host, arch, tags }.tagset();
        let expected = ["__arch=linux-x86_64", "__hidden", "__host=h", "__package=p", "a", "b"];
        assert_eq!(tagset.iter().collect::<Vec<_>>(), expected.each_ref());
        assert_eq!(visible_tags(&tagset).collect::<Vec<_>>(), ["a", "b"]);
    }
}
