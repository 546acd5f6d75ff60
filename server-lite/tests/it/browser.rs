//! Pages and links as a browser takes them.

use crate::{
    harness::{Reply, Running},
    html::Html,
};

pub(crate) fn page(reply: &Reply) -> Html {
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
    Html::parse(&reply.text())
}

pub(crate) fn all(html: &Html, selector: &str) -> Vec<String> {
    html.select(selector).into_iter().map(|element| element.text().to_owned()).collect()
}

pub(crate) fn text(html: &Html) -> String {
    all(html, "main").concat()
}

/// The link with this text, resolved against the page it is on, as a browser does it.
pub(crate) fn follow(server: &Running, from: &str, label: &str) -> (String, Reply) {
    let html = page(&server.get(from));
    let link = html.select("a").into_iter().find(|link| link.text() == label);
    let href = link.unwrap_or_else(|| panic!("no link {label:?} on {from}")).attr("href").unwrap().to_owned();
    let path = resolve(from, &href);
    let reply = server.get(&path);
    (path, reply)
}

/// RFC 3986, section 5.3, for relative paths; dot segments count however they are written, as in browsers.
pub(crate) fn resolve(base: &str, reference: &str) -> String {
    let base = base.split('?').next().unwrap();
    if reference.starts_with('?') {
        return format!("{base}{reference}");
    }
    let (path, query) =
        reference.split_once('?').map_or((reference, None), |(path, query)| (path, Some(query)));
    let mut segments: Vec<&str> = base.split('/').collect();
    segments.pop();
    let mut folder = false;
    for segment in path.split('/') {
        folder = false;
        match segment.to_ascii_lowercase().replace("%2e", ".").as_str() {
            "." => folder = true,
            ".." => {
                folder = true;
                if segments.len() > 1 {
                    segments.pop();
                }
            }
            _ => segments.push(segment),
        }
    }
    if folder {
        segments.push("");
    }
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}{query}", segments.join("/"))
}
