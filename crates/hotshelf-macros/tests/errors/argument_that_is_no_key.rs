use hotshelf::{Cache, cached};

struct Database;

#[cached(cache = cache)]
async fn product(cache: &Cache<u32>, id: u64, database: &Database) -> u32 {
    7
}

fn main() {}
