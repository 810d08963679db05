use hotshelf::cached;

#[cached(key = id)]
async fn product(id: u64) -> u32 {
    7
}

fn main() {}
