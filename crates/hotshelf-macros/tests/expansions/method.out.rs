impl Repository {
    pub(crate) async fn user(
        &self,
        tenant: &str,
        id: u64,
    ) -> ::std::result::Result<
        ::std::option::Option<::std::sync::Arc<User>>,
        ::hotshelf::LoadError<Error>,
    > {
        self.__user::<false>(tenant, id).await
    }
    async fn __user<const __HOTSHELF_RELOAD: bool>(
        &self,
        tenant: &str,
        id: u64,
    ) -> ::std::result::Result<
        ::std::option::Option<::std::sync::Arc<User>>,
        ::hotshelf::LoadError<Error>,
    > {
        let key = (tenant, id);
        let entry = (self.users).entry(key);
        let entry = if __HOTSHELF_RELOAD { entry.reload() } else { entry };
        let entry = entry.tags([format!("tenant:{tenant}")]);
        entry
            .or_try_load_optional(async || -> Result<Option<User>, Error> {
                self.database.user(tenant, id).await
            })
            .await
    }
    /// Removes the entry of [`user`](Self::user).
    #[allow(dead_code)]
    pub(crate) async fn invalidate_user(
        &self,
        tenant: &str,
        id: u64,
    ) -> ::std::result::Result<::hotshelf::Invalidation, ::hotshelf::Error> {
        (self.users).entry((tenant, id)).invalidate().await
    }
    /// Loads and stores the value, even if it is cached, of [`user`](Self::user).
    #[allow(dead_code)]
    pub(crate) async fn refresh_user(
        &self,
        tenant: &str,
        id: u64,
    ) -> ::std::result::Result<
        ::std::option::Option<::std::sync::Arc<User>>,
        ::hotshelf::LoadError<Error>,
    > {
        self.__user::<true>(tenant, id).await
    }
}
