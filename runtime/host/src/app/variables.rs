//! Values of an application's variables: given on the command line, by the environment, or as defaults.

use std::collections::BTreeMap;

use super::{App, AppError, template};

/// The variable that, where an application declares it and nobody sets it, holds the names of the served models.
pub const MODELS: &str = "models";

/// The values that were given, in order of precedence: `--variable` over `SPIN_VARIABLE_<NAME>`.
#[derive(Debug, Clone, Default)]
pub struct Given {
    values: BTreeMap<String, String>,
}

impl Given {
    /// Collects what was given for the variables that `app` declares.
    ///
    /// # Errors
    /// A name on the command line that the application does not declare.
    pub fn collect(
        app: &App,
        arguments: impl IntoIterator<Item = (String, String)>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, AppError> {
        let mut values = BTreeMap::new();
        for (name, value) in arguments {
            if !app.variables.contains_key(&name) {
                let declared: Vec<_> = app.variables.keys().map(String::as_str).collect();
                return Err(AppError::Unsupported(format!(
                    "--variable {name}: the application declares no such variable, only {}",
                    if declared.is_empty() { "none".into() } else { declared.join(", ") }
                )));
            }
            values.insert(name, value);
        }
        for name in app.variables.keys() {
            if !values.contains_key(name)
                && let Some(value) = environment(&format!("SPIN_VARIABLE_{}", name.to_uppercase()))
            {
                values.insert(name.clone(), value);
            }
        }
        Ok(Self { values })
    }

    /// The models that were asked for through the variable of that name.
    pub fn models(&self) -> Option<Vec<String>> {
        self.values.get(MODELS).map(|names| split_names(names))
    }
}

/// Names between commas.
pub fn split_names(names: &str) -> Vec<String> {
    names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The values that each component of `app` sees, by component and name. `models` are the served models' names, where anybody knows them.
///
/// # Errors
/// A required variable without a value, or a template that cannot be filled.
pub fn resolve(app: &App, given: &Given, models: Option<&[String]>) -> Result<BTreeMap<String, BTreeMap<String, String>>, AppError> {
    let served = models.map(|models| models.join(","));
    let values = of_application(app, given, served.as_ref())?;
    let component = |component: &super::Component| {
        let values = component.variables.iter().map(|(name, text)| {
            let value = template::render(text, |name| values.get(name).copied())
                .map_err(|reason| AppError::Unsupported(format!("component '{}', variable '{name}': {reason}", component.id)))?;
            Ok((name.clone(), value))
        });
        Ok((component.id.clone(), values.collect::<Result<_, AppError>>()?))
    };
    app.components.iter().map(component).collect()
}

/// Fills in the variables in the hosts that components may call. One that comes to nothing is none.
///
/// # Errors
/// A required variable without a value, or a template that cannot be filled.
pub fn fill_hosts(app: &mut App, given: &Given) -> Result<(), AppError> {
    let mut components = std::mem::take(&mut app.components);
    let values = of_application(app, given, None)?;
    for component in &mut components {
        for host in &mut component.allowed_outbound_hosts {
            *host = template::render(host, |name| values.get(name).copied())
                .map_err(|reason| AppError::Unsupported(format!("component '{}', allowed_outbound_hosts: {reason}", component.id)))?;
        }
        component.allowed_outbound_hosts.retain(|host| !host.trim().is_empty());
    }
    drop(values);
    app.components = components;
    Ok(())
}

/// The values of an application's variables.
fn of_application<'a>(app: &'a App, given: &'a Given, served: Option<&'a String>) -> Result<BTreeMap<&'a str, &'a str>, AppError> {
    let mut values: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, variable) in &app.variables {
        let value = match given.values.get(name) {
            Some(value) => value.as_str(),
            None if name == MODELS && served.is_some() => served.map_or("", String::as_str),
            None => variable.default.as_deref().ok_or_else(|| {
                AppError::Unsupported(format!(
                    "the variable '{name}' is required and has no value: set SPIN_VARIABLE_{} in the environment, or pass --variable {name}=VALUE",
                    name.to_uppercase()
                ))
            })?,
        };
        values.insert(name, value);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::{super::*, *};

    fn app() -> App {
        let variable = |default: Option<&str>| Variable { default: default.map(str::to_owned), secret: false };
        App {
            variables: BTreeMap::from([("models".into(), variable(Some("one"))), ("key".into(), variable(None))]),
            components: vec![Component {
                id: "chat".into(),
                variables: BTreeMap::from([("models".into(), "{{ models }}".into()), ("k".into(), "<{{ key }}>".into())]),
                ..Component::default()
            }],
            ..App::default()
        }
    }

    fn given(arguments: &[(&str, &str)], environment: &[(&str, &str)]) -> Result<Given, AppError> {
        let arguments = arguments.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Given::collect(&app(), arguments, |name| environment.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_command_line_goes_over_the_environment_over_the_default() {
        let models = ["served".to_owned(), "too".to_owned()];
        let values = resolve(&app(), &given(&[], &[("SPIN_VARIABLE_KEY", "env")]).unwrap(), Some(&models)).unwrap();
        assert_eq!(values["chat"]["k"], "<env>");
        assert_eq!(values["chat"]["models"], "served,too", "what is served, not the default");

        let given = given(&[("key", "cli"), ("models", "mine, yours")], &[("SPIN_VARIABLE_KEY", "env")]).unwrap();
        assert_eq!(given.models().unwrap(), ["mine", "yours"]);
        let values = resolve(&app(), &given, Some(&models)).unwrap();
        assert_eq!(values["chat"]["k"], "<cli>");
        assert_eq!(values["chat"]["models"], "mine, yours");
    }

    #[test]
    fn hosts_may_be_variables_and_an_empty_one_is_none() {
        let mut app = app();
        app.components[0].allowed_outbound_hosts = vec!["{{ key }}".into(), "https://{{ models }}.example.com".into()];
        let mut filled = app.clone();
        fill_hosts(&mut filled, &given(&[("key", "http://10.0.0.2:18789")], &[]).unwrap()).unwrap();
        assert_eq!(filled.components[0].allowed_outbound_hosts, ["http://10.0.0.2:18789", "https://one.example.com"]);
        let mut empty = app.clone();
        fill_hosts(&mut empty, &given(&[("key", "")], &[]).unwrap()).unwrap();
        assert_eq!(empty.components[0].allowed_outbound_hosts, ["https://one.example.com"]);
        assert!(fill_hosts(&mut app, &Given::default()).unwrap_err().to_string().contains("SPIN_VARIABLE_KEY"));
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        let error = resolve(&app(), &Given::default(), None).unwrap_err().to_string();
        assert!(error.contains("SPIN_VARIABLE_KEY") && error.contains("--variable key="), "{error}");
        let error = given(&[("kee", "x")], &[]).unwrap_err().to_string();
        assert!(error.contains("kee") && error.contains("key, models"), "{error}");
    }
}
