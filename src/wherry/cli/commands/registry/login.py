"""``wherry login``: try credentials at a registry, and keep those that it takes."""

from __future__ import annotations

from wherry.cli.credentials import known, store_for
from wherry.cli.errors import CliError
from wherry.cli.flags import Command, Option
from wherry.cli.notes import note
from wherry.cli.prompting import ask, ask_hidden, need_terminal, read_stdin
from wherry.client import registry
from wherry.client.errors import ApiError, ClientError
from wherry.client.registry_auth import HUB, HUB_DOMAIN, RegistryAuth, host_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.app import App
    from wherry.cli.flags import Parsed

STDERR = 2
_INSECURE = "WARNING! Using --password via the CLI is insecure. Use --password-stdin."
_HUB_HELP = (
    "Log in with your Docker ID or email address to push and pull images from Docker Hub. If you don't have a Docker "
    "ID, head over to https://hub.docker.com/ to create one.\nYou can log in with your password or a Personal Access "
    "Token (PAT). Using a limited-scope PAT grants better security and is required for organizations using SSO. Learn "
    "more at https://docs.docker.com/go/access-tokens/\n"
)


def _run(app: App, options: Parsed) -> int:
    user, password = _given(app, options)
    server = _server((options.args or [""])[0])
    kept = known(app, server) if not user and not password else RegistryAuth()
    said = None
    if kept.username and kept.password:
        said = _with_known(app, kept)
    if said is None:
        said = _log_in(app, _asked(app, server, user, password, kept.username))
    if said:
        app.line(said)
    return 0


def _given(app: App, options: Parsed) -> tuple[str, str]:
    """User and password of the command line. Raises ``CliError``."""
    user, password = str(options["username"]), str(options["password"])
    if options.given("password-stdin"):
        if options.given("password"):
            raise CliError("conflicting options: cannot specify both --password and --password-stdin")
        if not options.given("username"):
            raise CliError("the --password-stdin option requires --username to be set")
    for name, value in (("username", user), ("password", password)):
        if options.given(name) and not value:
            raise CliError(f"{name} is empty")
    if password:
        app.complain(_INSECURE)
    if options["password-stdin"]:
        password = read_stdin()
    return user, password


def _server(given: str) -> str:
    """The name under which credentials are kept."""
    return HUB if given in {"", HUB_DOMAIN, HUB} else host_of(given)


def _with_known(app: App, auth: RegistryAuth) -> str | None:
    """What the registry says to the credentials kept; None if it does not take them."""
    app.complain(f"Authenticating with existing credentials... [Username: {auth.username}]")
    note(STDERR, "To login with a different account, run 'wherry logout' followed by 'wherry login'")
    app.err("\n\n")
    try:
        return _log_in(app, auth)
    except ApiError as error:
        app.complain(
            "Stored credentials invalid or expired" if error.status == 401 else f"Login did not succeed, error: {error}"
        )
    except ClientError as error:
        app.complain(f"Login did not succeed, error: {error}")
    return None


def _asked(app: App, server: str, user: str, password: str, default: str) -> RegistryAuth:
    """Credentials, asked for where they were not given. Raises ``CliError``."""
    if not user or not password:
        need_terminal()
    if not user:
        if server == HUB:
            app.line(_HUB_HELP)
        user = ask(f"Username ({default}): " if default else "Username: ") or default
        if not user:
            raise CliError("Error: Non-null Username Required")
    password = password or ask_hidden("Password: ")
    if not password:
        raise CliError("Error: Password Required")
    return RegistryAuth(server, username=user, password=password)


def _log_in(app: App, auth: RegistryAuth) -> str:
    """Try credentials and keep them; what the registry said. Raises ``ApiError``, ``CliError``."""
    answer = registry.login(app.client, auth)
    if answer.get("IdentityToken"):
        auth = RegistryAuth(auth.server, username=auth.username, identity_token=str(answer["IdentityToken"]))
    try:
        warning = store_for(app.config, auth.server).store(auth)
    except CliError as error:
        raise CliError(f"Error saving credentials: {str(error).removeprefix('Error saving credentials: ')}") from error
    if warning:
        app.complain(warning)
    return str(answer.get("Status") or "")


LOGIN = Command(
    _run,
    usage="[OPTIONS] [SERVER]",
    short="Authenticate to a registry",
    long="Authenticate to a registry.\nDefaults to Docker Hub if no server is specified.",
    options=(
        Option("password", "p", "string", "Password or Personal Access Token (PAT)"),
        Option("password-stdin", "", "bool", "Take the Password or Personal Access Token (PAT) from stdin"),
        Option("username", "u", "string", "Username"),
    ),
    maximum=1,
)
