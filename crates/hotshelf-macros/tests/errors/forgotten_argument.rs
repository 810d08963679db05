use hotshelf::cached;

#[cached(cache = cache, key = id)]
async fn product(cache: &Cache<u32>, id: u64, tenant: &str, preview: bool) -> u32 {
    7
}

#[cached(cache = cache, key = user.id)]
async fn only_a_field(cache: &Cache<u32>, user: &User, id: u64) -> u32 {
    7
}

#[cached(cache = CACHE, key = ids.iter().map(|id| *id).sum::<u64>())]
async fn only_bound_within(ids: &[u64], id: u64) -> u32 {
    7
}

#[cached(cache = CACHE, key = ("{id}", other))]
async fn only_text(id: u64, other: u64) -> u32 {
    7
}

#[cached(cache = CACHE)]
async fn generic<K: Kind, const N: usize>(id: u64) -> u32 {
    7
}

impl Shop {
    #[cached(cache = CACHE)]
    async fn page(&self, id: u64) -> u32 {
        7
    }
}

fn main() {}
