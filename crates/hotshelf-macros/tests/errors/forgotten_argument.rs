use hotshelf::cached;

#[cached(cache = cache, key = id)]
async fn product(cache: &Cache<u32>, id: u64, tenant: &str, preview: bool) -> u32 {
    7
}

fn main() {}
