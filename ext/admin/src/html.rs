//! HTML that cannot be broken by what it shows: text and attributes are escaped where they are put in.

use std::fmt::{Display, Write};

/// A piece of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Html(String);

/// Text, whatever is in it.
pub fn text(text: impl Display) -> Html {
    Html(escape(&text.to_string()))
}

/// An element with its attributes and what is in it.
pub fn element(name: &str, attributes: &[(&str, &str)], children: impl IntoIterator<Item = Html>) -> Html {
    let mut html = format!("<{name}");
    for (key, value) in attributes {
        // Writing to memory does not fail.
        let _ = write!(html, " {key}=\"{}\"", escape(value));
    }
    html.push('>');
    children.into_iter().for_each(|child| html.push_str(&child.0));
    let _ = write!(html, "</{name}>");
    Html(html)
}

/// An element of a class, around a text.
pub fn labelled(name: &str, class: &str, words: impl Display) -> Html {
    element(name, &[("class", class)], [text(words)])
}

impl Html {
    /// As it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromIterator<Html> for Html {
    fn from_iter<T: IntoIterator<Item = Html>>(pieces: T) -> Self {
        Self(pieces.into_iter().map(|piece| piece.0).collect())
    }
}

/// What stands in a column, which decides how it looks.
pub const NAME: &str = "name";
/// A short name.
pub const WORD: &str = "word";
pub const NUMBER: &str = "number";
pub const CHART: &str = "chart";

/// A column of a table: its head, and what stands in it.
pub type Column<'a> = (&'a str, &'a str);

/// How many columns a telephone has room for. The rows of wider tables become lists there, for which each
/// cell knows its column's head.
const NARROW: usize = 4;

/// A table.
pub fn table(columns: &[Column<'_>], rows: impl IntoIterator<Item = Vec<Html>>) -> Html {
    let head = columns.iter().map(|(head, kind)| labelled("th", kind, head));
    let rows = rows.into_iter().map(|cells| {
        let cells = columns
            .iter()
            .zip(cells)
            .map(|((head, kind), cell)| element("td", &[("class", *kind), ("data-head", *head)], [cell]));
        element("tr", &[], cells)
    });
    let body = element("tbody", &[], rows);
    let width = if columns.len() > NARROW { "wide" } else { "narrow" };
    element("table", &[("class", width)], [element("thead", &[], [element("tr", &[], head)]), body])
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text_wherever_it_is_put() {
        let html = element("p", &[("title", "\"><b>")], [text("<script>alert('&')</script>")]);
        assert_eq!(
            html.as_str(),
            "<p title=\"&quot;&gt;&lt;b&gt;\">&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;</p>"
        );
    }
}
