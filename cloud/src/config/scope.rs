//! Which events a route or a rule is about: wildcard patterns over file, device, fleet and product
//! (pure).
//!
//! An empty list stands for all. A device is named by its uid or by its serial number. A note that
//! came through a gateway has the file `<node>#thermal.qo`; it belongs to whoever asks for
//! `thermal.qo`.

use wildmatch::WildMatch;

#[derive(Debug, Clone)]
pub struct Scope {
    files: Vec<WildMatch>,
    devices: Vec<WildMatch>,
    fleets: Vec<WildMatch>,
    products: Vec<WildMatch>,
}

impl Scope {
    pub fn new(
        files: &[String],
        devices: &[String],
        fleets: &[String],
        products: &[String],
    ) -> Self {
        Scope {
            files: compile(files),
            devices: compile(devices),
            fleets: compile(fleets),
            products: compile(products),
        }
    }

    /// Whether events of this device can be meant at all, whatever the file.
    pub fn concerns(
        &self,
        device: &str,
        serial: Option<&str>,
        fleets: &[String],
        product: &str,
    ) -> bool {
        any(&self.devices, [device].into_iter().chain(serial))
            && any(&self.fleets, fleets.iter().map(String::as_str))
            && any(&self.products, [product])
    }

    pub fn matches(
        &self,
        file: &str,
        device: &str,
        serial: Option<&str>,
        fleets: &[String],
        product: &str,
    ) -> bool {
        let file_of_node = file.rsplit_once('#').map(|(_node, file)| file);
        any(&self.files, [file].into_iter().chain(file_of_node))
            && self.concerns(device, serial, fleets, product)
    }
}

fn compile(patterns: &[String]) -> Vec<WildMatch> {
    patterns
        .iter()
        .map(|pattern| WildMatch::new(pattern))
        .collect()
}

fn any<'a>(patterns: &[WildMatch], names: impl IntoIterator<Item = &'a str>) -> bool {
    patterns.is_empty()
        || names
            .into_iter()
            .any(|name| patterns.iter().any(|pattern| pattern.matches(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(patterns: [&[&str]; 4], expected: bool) {
        let [files, devices, fleets, products] =
            patterns.map(|list| list.iter().map(|&one| one.to_owned()).collect::<Vec<_>>());
        let scope = Scope::new(&files, &devices, &fleets, &products);
        let event_fleets = ["fleet:a".to_owned(), "fleet:b".to_owned()];
        let found = scope.matches(
            "node7#thermal.qo",
            "dev:864475",
            Some("attic-1"),
            &event_fleets,
            "product:com.example:thermal",
        );
        assert_eq!(found, expected, "{patterns:?}");
    }

    #[test]
    fn patterns() {
        check([&[], &[], &[], &[]], true);
        check([&["*.qo"], &[], &[], &[]], true);
        check([&["thermal.qo"], &[], &[], &[]], true);
        check([&["node7#*"], &[], &[], &[]], true);
        check([&["node?#thermal.qo"], &[], &[], &[]], true);
        check([&["alert.qo", "thermal.*"], &[], &[], &[]], true);
        check([&["alert.qo"], &[], &[], &[]], false);
        check([&["thermal"], &[], &[], &[]], false);
        check([&[], &["dev:864475"], &[], &[]], true);
        check([&[], &["attic-?"], &[], &[]], true);
        check([&[], &["cellar-*"], &[], &[]], false);
        check([&[], &[], &["fleet:b"], &[]], true);
        check([&[], &[], &["fleet:c"], &[]], false);
        check([&[], &[], &[], &["product:com.example:*"]], true);
        check([&[], &[], &[], &["product:org.*"]], false);
        check([&["*.qo"], &["dev:*"], &["fleet:c"], &[]], false);
    }

    #[test]
    fn an_event_without_fleets_matches_no_fleet_pattern() {
        let scope = Scope::new(&[], &[], &["*".to_owned()], &[]);
        assert!(!scope.matches("a.qo", "dev:1", None, &[], "p"));
    }
}
