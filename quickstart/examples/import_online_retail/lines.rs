//! The file as it is: semicolons, a byte-order mark, decimal commas, empty fields.

use std::path::Path;

use serde::Deserialize;

/// One line of an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Line number in the file; the header is line 1.
    pub(crate) number: u64,
    /// Number of the invoice; a cancellation begins with `C`.
    pub(crate) invoice: String,
    /// The shop's code of the product.
    pub(crate) stock_code: String,
    /// What the product was called at that time.
    pub(crate) description: Option<String>,
    /// Pieces; negative for cancellations and stock corrections.
    pub(crate) quantity: i64,
    /// Price in cents; `None` for corrections below zero.
    pub(crate) price_cents: Option<i64>,
    /// The customer, if one is known.
    pub(crate) customer: Option<String>,
    /// Where the customer lives.
    pub(crate) country: String,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "InvoiceNo")]
    invoice: String,
    #[serde(rename = "StockCode")]
    stock_code: String,
    #[serde(rename = "Description")]
    description: String,
    #[serde(rename = "Quantity")]
    quantity: i64,
    #[serde(rename = "UnitPrice")]
    unit_price: String,
    #[serde(rename = "CustomerID")]
    customer: String,
    #[serde(rename = "Country")]
    country: String,
}

/// Reads the whole file; it is small enough to plan it as one.
///
/// # Errors
/// A sentence that names the file, and the line if one is wrong.
pub(crate) fn read(path: &Path) -> Result<Vec<Line>, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    parse(&bytes).map_err(|error| format!("{}: {error}", path.display()))
}

fn parse(bytes: &[u8]) -> Result<Vec<Line>, String> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new().delimiter(b';').from_reader(bytes);
    let mut lines = Vec::new();
    for raw in reader.deserialize() {
        let raw: Raw = raw.map_err(|error| error.to_string())?;
        lines.push(line(lines.len() as u64 + 2, raw)?);
    }
    Ok(lines)
}

fn line(number: u64, raw: Raw) -> Result<Line, String> {
    let price_cents = cents(&raw.unit_price)
        .ok_or_else(|| format!("line {number}: UnitPrice `{}` is no price", raw.unit_price))?;
    Ok(Line {
        number,
        invoice: raw.invoice,
        stock_code: raw.stock_code,
        description: text(&raw.description),
        quantity: raw.quantity,
        price_cents: (price_cents >= 0).then_some(price_cents),
        customer: text(&raw.customer),
        country: raw.country,
    })
}

fn text(field: &str) -> Option<String> {
    let trimmed = field.trim();
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

/// `2,55` is 255; whole prices have no comma; a third decimal is cut off.
fn cents(decimal: &str) -> Option<i64> {
    let (whole, fraction) = decimal.trim().split_once(',').unwrap_or((decimal.trim(), ""));
    let negative = whole.starts_with('-');
    let whole: i64 = whole.parse().ok()?;
    let fraction: i64 = format!("{fraction:0<2}").get(..2)?.parse().ok()?;
    Some(whole * 100 + if negative { -fraction } else { fraction })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_have_decimal_commas() {
        for (text, expected) in
            [("2,55", 255), ("3", 300), ("0,5", 50), ("-11062,06", -1_106_206), ("0,001", 0)]
        {
            assert_eq!(cents(text), Some(expected), "{text}");
        }
        assert_eq!(cents("2.55"), None);
        assert_eq!(cents(""), None);
    }

    #[test]
    fn the_byte_order_mark_and_empty_fields_are_understood() {
        let file = "\u{feff}InvoiceNo;StockCode;Description;Quantity;InvoiceDate;UnitPrice;CustomerID;Country\n\
                    C536379;D; ;-1;1/12/2010 09:41;27,5;;United Kingdom\n";
        let lines = parse(file.as_bytes()).expect("a well-formed file");
        assert_eq!(lines.len(), 1);
        assert_eq!(
            (lines[0].number, lines[0].description.as_deref(), lines[0].customer.as_deref()),
            (2, None, None)
        );
        assert_eq!((lines[0].quantity, lines[0].price_cents), (-1, Some(2750)));
    }

    #[test]
    fn a_wrong_line_is_named() {
        let file = "InvoiceNo;StockCode;Description;Quantity;InvoiceDate;UnitPrice;CustomerID;Country\n\
                    1;2;x;1;d;cheap;17850;UK\n";
        assert_eq!(parse(file.as_bytes()).unwrap_err(), "line 2: UnitPrice `cheap` is no price");
    }
}
