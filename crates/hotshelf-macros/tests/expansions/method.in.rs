impl Repository {
    #[cached(cache = self.users, key = (tenant, id), tags = [format!("tenant:{tenant}")])]
    pub(crate) async fn user(&self, tenant: &str, id: u64) -> Result<Option<User>, Error> {
        self.database.user(tenant, id).await
    }
}
