//! All pages that are tested, photographed and timed, in the order of the README. A new page is one more line here.

/// A page of the service.
#[derive(Debug)]
pub struct Page {
    /// As its picture is called.
    pub name: &'static str,
    /// Where it is; `{device}` stands for a station and `{incident}` for one of its incidents.
    pub path: &'static str,
    /// What is on it once it is whole, for a browser to wait for.
    pub shows: Shows,
}

#[derive(Debug, Clone, Copy)]
pub enum Shows {
    /// This text, whatever the case of its letters.
    Text(&'static str),
    /// A chart that is drawn on the canvas that this selector finds.
    Chart(&'static str),
}

impl Page {
    pub fn path_for(&self, device: &str, incident: i64) -> String {
        let path = self.path.replace("{device}", device);
        path.replace("{incident}", &incident.to_string())
    }
}

pub const PAGES: &[Page] = &[Page {
    name: "overview",
    path: "/",
    shows: Shows::Text("pump-house"),
}];

/// What pages fetch beside themselves.
pub const DATA: &[&str] = &["/api/v1/devices", "/api/v1/incidents"];
