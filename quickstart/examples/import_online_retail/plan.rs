//! From lines to commands and to the answers that D must then give: pure, so that the file itself is the judge.

use std::collections::{BTreeMap, HashMap};

use crate::lines::Line;

/// Everything to be done, in lanes: what one lane holds happens in order, lanes are independent of each other.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Customers by the order of their first line.
    pub(crate) customers: Vec<Customer>,
    /// Products by the order of their first line.
    pub(crate) products: Vec<Product>,
    /// Lines that lead to no order or cancellation, by reason.
    pub(crate) skipped: BTreeMap<&'static str, u64>,
    /// Lines that do.
    pub(crate) taken: u64,
}

/// One customer and what they did, in the file's order.
#[derive(Debug)]
pub(crate) struct Customer {
    /// The shop's number of the customer.
    pub(crate) id: String,
    /// Where they live.
    pub(crate) country: String,
    /// Line of their first appearance.
    pub(crate) line: u64,
    /// Orders and cancellations.
    pub(crate) deeds: Vec<Deed>,
}

/// One order or cancellation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deed {
    /// The customer orders a product.
    Order {
        /// Line of the order, its name in this plan.
        line: u64,
        /// The product.
        stock_code: String,
        /// Pieces, from 1.
        quantity: u32,
    },
    /// The customer cancels an order.
    Cancel {
        /// Line of the cancellation.
        line: u64,
        /// Line of the order.
        order: u64,
    },
}

/// One product and its names.
#[derive(Debug)]
pub(crate) struct Product {
    /// The shop's code of the product.
    pub(crate) stock_code: String,
    /// Price on its first line.
    pub(crate) price_cents: Option<i64>,
    /// Its titles with the line of each; the first is the one it is created with.
    pub(crate) titles: Vec<(u64, String)>,
}

/// One product that D must show for a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    /// The product.
    pub(crate) stock_code: String,
    /// Pieces in all orders that were not cancelled.
    pub(crate) quantity: u64,
    /// Number of these orders.
    pub(crate) orders: u64,
}

/// Makes the plan for a file.
#[must_use]
pub(crate) fn plan(lines: &[Line]) -> Plan {
    let mut planner = Planner::default();
    for line in lines {
        planner.name_product(line);
        if let Err(reason) = planner.take(line) {
            *planner.plan.skipped.entry(reason).or_default() += 1;
        } else {
            planner.plan.taken += 1;
        }
    }
    planner.plan
}

#[derive(Default)]
struct Planner {
    plan: Plan,
    customers: HashMap<String, usize>,
    products: HashMap<String, usize>,
    /// Open orders' lines of (customer, product), oldest first.
    open: HashMap<(usize, String), Vec<u64>>,
}

impl Planner {
    fn name_product(&mut self, line: &Line) {
        let Some(&index) = self.products.get(&line.stock_code) else {
            let title = line.description.clone().unwrap_or_else(|| line.stock_code.clone());
            self.products.insert(line.stock_code.clone(), self.plan.products.len());
            self.plan.products.push(Product {
                stock_code: line.stock_code.clone(),
                price_cents: line.price_cents,
                titles: vec![(line.number, title)],
            });
            return;
        };
        let titles = &mut self.plan.products[index].titles;
        if let Some(title) = &line.description
            && titles.last().is_none_or(|(_, last)| last != title)
        {
            titles.push((line.number, title.clone()));
        }
    }

    fn take(&mut self, line: &Line) -> Result<(), &'static str> {
        let customer = self.customer(line).ok_or("no customer")?;
        if line.invoice.starts_with('C') {
            return self.cancel(customer, line);
        }
        if line.quantity <= 0 {
            return Err("stock correction (quantity below 1)");
        }
        let quantity = u32::try_from(line.quantity).map_err(|_| "quantity too large")?;
        self.open.entry((customer, line.stock_code.clone())).or_default().push(line.number);
        let deed = Deed::Order { line: line.number, stock_code: line.stock_code.clone(), quantity };
        self.plan.customers[customer].deeds.push(deed);
        Ok(())
    }

    /// The newest open order of that product by that customer, as a customer would mean it.
    fn cancel(&mut self, customer: usize, line: &Line) -> Result<(), &'static str> {
        let open = self.open.get_mut(&(customer, line.stock_code.clone()));
        let order = open.and_then(Vec::pop).ok_or("cancellation of nothing that is open")?;
        self.plan.customers[customer].deeds.push(Deed::Cancel { line: line.number, order });
        Ok(())
    }

    fn customer(&mut self, line: &Line) -> Option<usize> {
        let id = line.customer.as_ref()?;
        if let Some(&index) = self.customers.get(id) {
            return Some(index);
        }
        let index = self.plan.customers.len();
        self.customers.insert(id.clone(), index);
        let (id, country) = (id.clone(), line.country.clone());
        self.plan.customers.push(Customer { id, country, line: line.number, deeds: Vec::new() });
        Some(index)
    }
}

/// What D must answer for a customer: each product once, in the order of its first purchase that was not cancelled.
#[must_use]
pub(crate) fn expected(customer: &Customer) -> Vec<Expected> {
    let cancelled: Vec<u64> = customer.deeds.iter().filter_map(cancelled_order).collect();
    let mut products: Vec<Expected> = Vec::new();
    for deed in &customer.deeds {
        let Deed::Order { line, stock_code, quantity } = deed else { continue };
        if cancelled.contains(line) {
            continue;
        }
        let quantity = u64::from(*quantity);
        match products.iter_mut().find(|product| product.stock_code == *stock_code) {
            Some(product) => {
                product.quantity += quantity;
                product.orders += 1;
            }
            None => products.push(Expected { stock_code: stock_code.clone(), quantity, orders: 1 }),
        }
    }
    products
}

fn cancelled_order(deed: &Deed) -> Option<u64> {
    match deed {
        Deed::Cancel { order, .. } => Some(*order),
        Deed::Order { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u64, invoice: &str, stock_code: &str, description: &str, quantity: i64) -> Line {
        Line {
            number,
            invoice: invoice.to_owned(),
            stock_code: stock_code.to_owned(),
            description: (!description.is_empty()).then(|| description.to_owned()),
            quantity,
            price_cents: Some(100),
            customer: Some("17850".to_owned()),
            country: "France".to_owned(),
        }
    }

    #[test]
    fn a_cancellation_takes_the_newest_open_order_of_that_product() {
        let plan = plan(&[
            line(2, "1", "A", "a", 1),
            line(3, "1", "B", "b", 5),
            line(4, "2", "A", "a", 2),
            line(5, "C3", "A", "a", -1),
        ]);
        assert_eq!(plan.customers[0].deeds[3], Deed::Cancel { line: 5, order: 4 });
        let shown =
            |stock_code: &str, quantity| Expected { stock_code: stock_code.to_owned(), quantity, orders: 1 };
        assert_eq!(expected(&plan.customers[0]), vec![shown("A", 1), shown("B", 5)]);
    }

    #[test]
    fn a_product_whose_first_order_was_cancelled_counts_from_the_next() {
        let plan = plan(&[
            line(2, "1", "A", "a", 1),
            line(3, "C1", "A", "a", -1),
            line(4, "2", "B", "b", 1),
            line(5, "3", "A", "a", 1),
        ]);
        let order: Vec<_> = expected(&plan.customers[0]).into_iter().map(|shown| shown.stock_code).collect();
        assert_eq!(order, ["B", "A"]);
    }

    #[test]
    fn lines_that_lead_nowhere_are_counted_by_reason() {
        let mut nobody = line(2, "1", "A", "a", 1);
        nobody.customer = None;
        let plan = plan(&[nobody, line(3, "2", "A", "", -3), line(4, "C9", "B", "b", -1)]);
        assert_eq!(plan.taken, 0);
        let reasons =
            ["cancellation of nothing that is open", "no customer", "stock correction (quantity below 1)"];
        assert_eq!(plan.skipped.into_iter().collect::<Vec<_>>(), reasons.map(|reason| (reason, 1)));
    }

    #[test]
    fn a_changed_description_renames_and_a_missing_one_does_not() {
        let plan = plan(&[
            line(2, "1", "A", "", 1),
            line(3, "1", "A", "lamp", 1),
            line(4, "1", "A", "", 1),
            line(5, "1", "A", "red lamp", 1),
        ]);
        let titles = [(2, "A".to_owned()), (3, "lamp".to_owned()), (5, "red lamp".to_owned())];
        assert_eq!(plan.products[0].titles, titles);
    }
}
