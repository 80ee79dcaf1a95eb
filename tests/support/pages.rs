//! All pages that are tested, photographed and timed, in the order of the README. A new page is one more line here.

/// A page of the service.
#[derive(Debug)]
pub struct Page {
    /// As its picture is called.
    pub name: &'static str,
    /// Where it is; `{device}` stands for a station and `{incident}` for one of its incidents.
    pub path: &'static str,
    /// Whether the README has a picture of it.
    pub in_readme: bool,
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

pub const PAGES: &[Page] = &[
    page("overview", "/", Shows::Text("pump-house")),
    page(
        "station",
        "/stations/{device}",
        Shows::Chart("#scores canvas"),
    ),
    plain(
        "events",
        "/stations/{device}/events",
        Shows::Text("thermal.qo"),
    ),
    page("incidents", "/incidents", Shows::Text("Past")),
    page("incident", "/incidents/{incident}", Shows::Text("Timeline")),
    page("deliveries", "/deliveries", Shows::Text("Destinations")),
    plain(
        "dead",
        "/deliveries?state=dead",
        Shows::Text("Destinations"),
    ),
    page("rules", "/rules", Shows::Text("Rules")),
    page(
        "try",
        "/rules/try?route=ubidots",
        Shows::Text("Choose a stored event"),
    ),
    plain("audit", "/audit", Shows::Text("Who did what")),
    plain("api", "/api/docs", Shows::Text("Parameters")),
];

/// The same pages otherwise, and what they fetch: a chart of a day and of a year, in its usual detail and in all that can
/// be had.
pub const DATA: &[&str] = &[
    "/stations/{device}?range=1y",
    "/?state=firing",
    "/api/v1/devices/{device}/series",
    "/api/v1/devices/{device}/series?from={year_ago}",
    "/api/v1/devices/{device}/series?from={year_ago}&points=2000",
    "/api/v1/devices/{device}/frames",
    "/api/v1/devices",
    "/api/v1/incidents",
];

const fn page(name: &'static str, path: &'static str, shows: Shows) -> Page {
    Page {
        name,
        path,
        in_readme: true,
        shows,
    }
}

/// One that there is nothing to see on but text.
const fn plain(name: &'static str, path: &'static str, shows: Shows) -> Page {
    Page {
        in_readme: false,
        ..page(name, path, shows)
    }
}
