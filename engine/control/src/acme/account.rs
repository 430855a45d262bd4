//! The account at a directory (RFC 8555 §7.3): made once, kept with its key, and told of another
//! contact.

use instant_acme::{Account, NewAccount};

use super::directory_client::DirectoryClient;
use super::files::{AcmeFiles, StoredAccount};
use super::order::OrderError;
use tero_config as config;

/// The account that was kept, or a new one.
///
/// # Errors
/// [`OrderError`], of a kind that concerns all names.
pub(super) async fn open(
    files: &AcmeFiles,
    settings: &config::Acme,
    client: &DirectoryClient,
) -> Result<Account, OrderError> {
    let kept = files.account().map_err(|error| {
        OrderError::Directory(format!(
            "the account in the state directory can't be used: {error}"
        ))
    })?;
    let contact: Vec<&str> = settings.contact.iter().map(String::as_str).collect();
    let builder = Account::builder_with_http(Box::new(client.clone()));
    let Some(kept) = kept else {
        let terms = NewAccount {
            contact: &contact,
            terms_of_service_agreed: settings.terms_agreed,
            only_return_existing: false,
        };
        let made = builder.create(&terms, settings.directory.clone(), None);
        let (account, credentials) = made.await.map_err(OrderError::of_account)?;
        let contact = settings.contact.clone();
        keep(
            files,
            &StoredAccount {
                contact,
                credentials,
            },
        )?;
        tracing::info!(directory = %settings.directory, "an account was made");
        return Ok(account);
    };
    let told = kept.contact;
    let account = builder
        .from_credentials(kept.credentials)
        .await
        .map_err(OrderError::of_account)?;
    if told != settings.contact {
        account
            .update_contacts(&contact)
            .await
            .map_err(OrderError::of_account)?;
        if let Ok(Some(kept)) = files.account() {
            let contact = settings.contact.clone();
            keep(files, &StoredAccount { contact, ..kept })?;
        }
    }
    Ok(account)
}

fn keep(files: &AcmeFiles, account: &StoredAccount) -> Result<(), OrderError> {
    files.keep_account(account).map_err(|error| {
        OrderError::Directory(format!(
            "the account can't be kept in the state directory: {error}"
        ))
    })
}
