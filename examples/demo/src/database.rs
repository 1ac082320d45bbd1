//! `Database`: the shop's SQLite file, and what identifies the state of each thing in it.
//!
//! Whoever opens the file may write to it. Nothing here relies on being told: a user's tag is made from the row, and the
//! products' version is counted by triggers, inside the file.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Result, params};
use serde::{Deserialize, Serialize};

/// A second process may hold the write lock for a moment.
const BUSY_FOR: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS users (username TEXT PRIMARY KEY, name TEXT NOT NULL, city TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS products (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price_cents INTEGER NOT NULL);

    -- One row. The lineage tells this file from the next one of the same name, so that no version means two things.
    CREATE TABLE IF NOT EXISTS products_version (lineage TEXT NOT NULL, version INTEGER NOT NULL);
    INSERT INTO products_version SELECT lower(hex(randomblob(6))), 0
        WHERE NOT EXISTS (SELECT * FROM products_version);

    CREATE TRIGGER IF NOT EXISTS product_inserted AFTER INSERT ON products
        BEGIN UPDATE products_version SET version = version + 1; END;
    CREATE TRIGGER IF NOT EXISTS product_updated AFTER UPDATE ON products
        BEGIN UPDATE products_version SET version = version + 1; END;
    CREATE TRIGGER IF NOT EXISTS product_deleted AFTER DELETE ON products
        BEGIN UPDATE products_version SET version = version + 1; END;

    INSERT OR IGNORE INTO products VALUES (1, 'teapot', 2400), (2, 'kettle', 3900), (3, 'cup', 700);
    INSERT OR IGNORE INTO users VALUES ('ada', 'Ada Lovelace', 'London');
";

/// A row of `users`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct User {
    /// What the user is found by.
    pub(crate) username: String,
    /// The full name.
    pub(crate) name: String,
    /// Where the user lives.
    pub(crate) city: String,
}

/// A row of `products`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Product {
    /// What the product is found by.
    pub(crate) id: i64,
    /// What it is called.
    pub(crate) name: String,
    /// What it costs.
    pub(crate) price_cents: i64,
}

/// One connection to the file.
#[derive(Debug)]
pub(crate) struct Database(Connection);

impl Database {
    /// Opens the file, and makes what is missing in it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_FOR)?;
        // Readers and a writer in another process do not wait for each other.
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self(connection))
    }

    /// The user of that name.
    pub(crate) fn user(&self, username: &str) -> Result<Option<User>> {
        self.0
            .prepare_cached("SELECT username, name, city FROM users WHERE username = ?1")?
            .query_row([username], |row| Ok(User { username: row.get(0)?, name: row.get(1)?, city: row.get(2)? }))
            .optional()
    }

    /// Inserts the user, or replaces what is there under that name.
    pub(crate) fn put_user(&self, user: &User) -> Result<()> {
        self.0.execute("INSERT OR REPLACE INTO users VALUES (?1, ?2, ?3)", [&user.username, &user.name, &user.city])?;
        Ok(())
    }

    /// What tells this state of the products from every other: one row read, however many products there are.
    pub(crate) fn products_version(&self) -> Result<String> {
        let mut query = self.0.prepare_cached("SELECT lineage || '-' || version FROM products_version")?;
        query.query_row([], |row| row.get(0))
    }

    /// All products and the version that they are, read in one transaction.
    pub(crate) fn products(&mut self) -> Result<(String, Vec<Product>)> {
        let transaction = self.0.transaction()?;
        let version =
            transaction.query_row("SELECT lineage || '-' || version FROM products_version", [], |row| row.get(0))?;
        let products = transaction
            .prepare("SELECT id, name, price_cents FROM products ORDER BY id")?
            .query_map([], |row| Ok(Product { id: row.get(0)?, name: row.get(1)?, price_cents: row.get(2)? }))?
            .collect::<Result<Vec<_>>>()?;
        Ok((version, products))
    }

    /// Makes a product dearer; says how many rows that changed.
    pub(crate) fn raise_price(&self, id: i64, by_cents: i64) -> Result<usize> {
        self.0.execute("UPDATE products SET price_cents = price_cents + ?2 WHERE id = ?1", params![id, by_cents])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_through_another_connection_changes_the_version_once_per_row() {
        let folder = crate::folder::Folder::new().unwrap();
        let mut ours = Database::open(&folder.file("shop.db")).unwrap();
        let theirs = Database::open(&folder.file("shop.db")).unwrap();
        let before = ours.products_version().unwrap();
        assert_eq!(ours.products().unwrap().0, before);
        assert_eq!(theirs.raise_price(1, 100).unwrap(), 1);
        let (after, products) = ours.products().unwrap();
        assert_ne!(after, before);
        assert_eq!(products[0], Product { id: 1, name: "teapot".into(), price_cents: 2500 });
    }

    #[test]
    fn two_files_never_share_a_version() {
        let folder = crate::folder::Folder::new().unwrap();
        let [one, other] = ["one.db", "other.db"].map(|name| Database::open(&folder.file(name)).unwrap());
        assert_ne!(one.products_version().unwrap(), other.products_version().unwrap());
    }
}
