"""Every setting, read from the environment by typed readers that fail loudly.

The defaults serve the embedded installation (SQLite, a broker in the file system, e-mail to
files, sandbox payments). Nothing here branches on an environment's name; what production needs
is set one by one and proved by ``manage.py check --deploy``. See docs/configuration.md.
"""

from pathlib import Path

import environ
from celery.schedules import crontab
from csp.constants import NONE, SELF
from django.utils.translation import gettext_lazy as _

from portal.kernel.local_secret import read_or_create_secret

env = environ.Env()

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(env.str("TOKENWORKS_VAR", default=str(BASE_DIR / "var")))

# --- Site ---------------------------------------------------------------------------------
SITE_NAME = env.str("SITE_NAME", default="Tokenworks")
SITE_URL = env.str("SITE_URL", default="http://localhost:8000").rstrip("/")
SERVED_OVER_HTTPS = SITE_URL.startswith("https://")
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="") or read_or_create_secret(VAR_DIR / "secret_key")
# Fernet keys for secrets at rest, newest first; the first encrypts, all decrypt.
ENCRYPTION_KEYS = env.list("ENCRYPTION_KEYS", default=[]) or [
    read_or_create_secret(VAR_DIR / "encryption_key", fernet=True)
]
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list(
    "CSRF_TRUSTED_ORIGINS", default=[SITE_URL] if SERVED_OVER_HTTPS else []
)

# --- Rooms --------------------------------------------------------------------------------
INSTALLED_APPS = [
    "accounts.admin_config.TwoFactorAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "csp",
    "django_htmx",
    "heroicons",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_structlog",
    "accounts",
    "marketplace.catalog",
    "marketplace.ledger",
    "marketplace.metering",
    "marketplace.billing",
    "marketplace.partners",
    "marketplace.reconciliation",
    "portal.web",
    "portal.ops",
    "portal",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.middleware.NeverStoredMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "allauth.usersessions.middleware.UserSessionsMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "portal.web.unguarded.UnguardedMiddleware",
]

ROOT_URLCONF = "portal.urls"
ASGI_APPLICATION = "portal.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.i18n",
                "portal.web.context.site",
            ],
            "builtins": [
                "django.templatetags.i18n",
                "django.templatetags.static",
                "portal.web.templatetags.numbers",
                "portal.web.templatetags.components",
            ],
        },
    }
]

# --- Database -----------------------------------------------------------------------------
# IMMEDIATE: every atomic() takes SQLite's write lock at its start, so read-modify-write cannot
# deadlock; WAL lets readers go on. synchronous=FULL: an acknowledged hold survives power loss.
SQLITE_OPTIONS = {
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
}
DATABASES = {
    "default": env.db("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'tokenworks.sqlite3'}")
}
DATABASES["default"]["CONN_MAX_AGE"] = env.int("CONN_MAX_AGE", default=600)
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
USES_SQLITE = DATABASES["default"]["ENGINE"].endswith("sqlite3")
if USES_SQLITE:
    DATABASES["default"]["OPTIONS"] = {**SQLITE_OPTIONS, "transaction_mode": "IMMEDIATE"}
else:
    # The ledger's statements are prepared once per connection (Django's own never are). Off for
    # poolers that share a connection between transactions without knowing prepared statements.
    DATABASES["default"].setdefault("OPTIONS", {})["prepare_threshold"] = (
        0 if env.bool("DATABASE_PREPARED_STATEMENTS", default=True) else None
    )

# --- Languages and time -------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [BASE_DIR / "portal" / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
USE_THOUSAND_SEPARATOR = False

# --- People and doors ---------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/o/"
ACCOUNT_ADAPTER = "accounts.adapters.AccountAdapter"
ACCOUNT_FORMS = {
    "signup": "accounts.forms.doors.JoinForm",
    "login": "accounts.forms.doors.SignInForm",
}
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = True
# One address per person; a new one replaces the old once it is proved.
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = f"[{SITE_NAME}] "
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 900
# allauth's own limits hold for the rest (signing in, resetting, proving an address).
ACCOUNT_RATE_LIMITS = {
    "signup": env.str("JOIN_RATE", default="20/m/ip"),
    "login": env.str("LOGIN_RATE", default="30/m/ip"),
    "invite": "30/h/user",
    # Codes have 80 random bits; this keeps the log and the database quiet, too.
    "redeem_voucher": env.str("VOUCHER_RATE", default="10/h/user,30/h/ip"),
}
# How many proxies in front may be believed about the client's address.
ALLAUTH_TRUSTED_PROXY_COUNT = env.int("TRUSTED_PROXY_COUNT", default=0)
MFA_ADAPTER = "accounts.adapters.MfaAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = SITE_NAME
# Browsers allow passkeys on http://localhost, and on https elsewhere.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not SERVED_OVER_HTTPS
# For so long a sign-in is fresh enough to make keys or change a team (accounts.access).
RECENT_SIGN_IN_SECONDS = env.int("RECENT_SIGN_IN_SECONDS", default=1800)
# Which terms of use people accept when they join; kept in the audit log.
TERMS_VERSION = env.str("TERMS_VERSION", default="2026-11-01")

INVITATION_DAYS = env.int("INVITATION_DAYS", default=7)
# Tokens given once to each verified organisation (and once per e-mail domain of its own).
TRIAL_TOKENS = env.int("TRIAL_TOKENS", default=1_000_000)
TRIAL_DAYS = env.int("TRIAL_DAYS", default=90)
# Test tokens given to every verified organisation; they reach test services only.
TEST_TOKENS = env.int("TEST_TOKENS", default=1_000_000)

# Below this balance owners and billing are warned, unless the organisation chose its own mark.
LOW_BALANCE_TOKENS = env.int("LOW_BALANCE_TOKENS", default=100_000)
# Notices older than this are deleted, read or not.
NOTICE_KEEP_DAYS = env.int("NOTICE_KEEP_DAYS", default=180)

# --- Market and money ---------------------------------------------------------------------
# One million wallet tokens are worth one unit of this currency at list price.
TARIFF_CURRENCY = env.str("TARIFF_CURRENCY", default="USD")
# The share of a call's charge that the market keeps, in basis points (1000 = 10 %).
COMMISSION_BASIS_POINTS = env.int("COMMISSION_BASIS_POINTS", default=1000)
# The sandbox payment provider: no money moves. A check refuses it on an https site.
SANDBOX_PAYMENTS = env.bool("SANDBOX_PAYMENTS", default=True)
# Stripe takes the payments when both are set (docs/payments.md); the sandbox is refused beside it.
STRIPE_SECRET_KEY = env.str("STRIPE_SECRET_KEY", default="")
STRIPE_WEBHOOK_SECRET = env.str("STRIPE_WEBHOOK_SECRET", default="")
# What buyers may pay with, of what the Stripe account offers; empty for all of that.
STRIPE_PAYMENT_METHODS = env.list(
    "STRIPE_PAYMENT_METHODS", default=["card", "alipay", "wechat_pay"]
)
# Whether Stripe Tax computes which part of the price is tax, by where the buyer is.
STRIPE_TAX = env.bool("STRIPE_TAX", default=False)
STRIPE_API_URL = env.str("STRIPE_API_URL", default="https://api.stripe.com")
# Where its pay page stands: another one for a custom domain of Checkout.
STRIPE_PAY_PAGE_ORIGIN = env.str("STRIPE_PAY_PAGE_ORIGIN", default="https://checkout.stripe.com")
# How long an order waits for its payment.
ORDER_MINUTES = env.int("ORDER_MINUTES", default=60)
# Our bank account, for buyers who transfer the money; without holder, account and bank nobody is
# offered that. An order waits for its transfer so many days.
BANK_TRANSFER_HOLDER = env.str("BANK_TRANSFER_HOLDER", default="")
BANK_TRANSFER_ACCOUNT = env.str("BANK_TRANSFER_ACCOUNT", default="")
BANK_TRANSFER_BIC = env.str("BANK_TRANSFER_BIC", default="")
BANK_TRANSFER_BANK = env.str("BANK_TRANSFER_BANK", default="")
TRANSFER_DAYS = env.int("TRANSFER_DAYS", default=14)
# Unused paid tokens are refunded for so many days after payment; 0 never, unset until they expire.
REFUND_DAYS = env.int("REFUND_DAYS", default=None)
# Refunds, debts and bank transfers worth more than this, in whole units of the tariff currency,
# take two of our people.
REFUND_SECOND_PERSON_ABOVE = env.int("REFUND_SECOND_PERSON_ABOVE", default=500)
# Who sells: copied into every invoice and credit note when it is issued.
SELLER_NAME = env.str("SELLER_NAME", default=SITE_NAME)
SELLER_ADDRESS = env.str("SELLER_ADDRESS", default="")
SELLER_COUNTRY = env.str("SELLER_COUNTRY", default="")
SELLER_TAX_ID = env.str("SELLER_TAX_ID", default="")
SELLER_EMAIL = env.str("SELLER_EMAIL", default="")
# What the numbers of its documents begin with. Another legal seller takes another series.
DOCUMENT_SERIES = env.str("DOCUMENT_SERIES", default="")
# The tax that prices contain, in basis points (1900 = 19 %); its name stands on invoices.
TAX_NAME = env.str("TAX_NAME", default="")
TAX_BASIS_POINTS = env.int("TAX_BASIS_POINTS", default=0)
# How long before it takes effect a price rise of a live service is announced.
PRICE_RISE_NOTICE_DAYS = env.int("PRICE_RISE_NOTICE_DAYS", default=7)

# --- Guards and proofs of the ledger ------------------------------------------------------
# How often a running site looks whether triggers, constraints, privileges and migrations are there.
LEDGER_GUARD_SECONDS = env.float("LEDGER_GUARD_SECONDS", default=15.0)
# Where the heads of checkpoints are kept, out of reach of who can edit the database.
LEDGER_HEADS_FILE = env.str("LEDGER_HEADS_FILE", default="")
LEDGER_HEADS_WEBHOOK_URL = env.str("LEDGER_HEADS_WEBHOOK_URL", default="")
LEDGER_HEADS_WEBHOOK_SECRET = env.str("LEDGER_HEADS_WEBHOOK_SECRET", default="")

# --- Demo providers -----------------------------------------------------------------------
# Real small models that `make up` serves on 127.0.0.1 (the `demo` extra).
DEMO_CHAT_PORT = env.int("DEMO_CHAT_PORT", default=8011)
DEMO_EMBEDDINGS_PORT = env.int("DEMO_EMBEDDINGS_PORT", default=8012)

# --- Reconciliation -----------------------------------------------------------------------
# Above this many repairs in one run, the rest are findings for a person.
RECONCILE_MAX_REPAIRS = env.int("RECONCILE_MAX_REPAIRS", default=100)
# A full run that saw something new looks again after so long.
RECONCILE_PAUSE_SECONDS = env.float("RECONCILE_PAUSE_SECONDS", default=60.0)
# How many charges each run rates again with their stored prices.
RECONCILE_SAMPLE = env.int("RECONCILE_SAMPLE", default=500)
# Light runs older than this, that no finding names, are deleted.
RECONCILE_KEEP_DAYS = env.int("RECONCILE_KEEP_DAYS", default=30)
# Where findings are posted when they open, and the secret (whsec_…) they are signed with.
STAFF_WEBHOOK_URL = env.str("STAFF_WEBHOOK_URL", default="")
STAFF_WEBHOOK_SECRET = env.str("STAFF_WEBHOOK_SECRET", default="")

# --- Gateway ------------------------------------------------------------------------------
GATEWAY_MAX_BODY_BYTES = env.int("GATEWAY_MAX_BODY_BYTES", default=4 * 1024 * 1024)
GATEWAY_MAX_JSON_DEPTH = env.int("GATEWAY_MAX_JSON_DEPTH", default=64)
GATEWAY_MAX_BYTES_IN_FLIGHT = env.int("GATEWAY_MAX_BYTES_IN_FLIGHT", default=256 * 1024 * 1024)
# How long a client may take to send a body, and to read what it is sent.
GATEWAY_BODY_SECONDS = env.float("GATEWAY_BODY_SECONDS", default=30.0)
GATEWAY_SEND_SECONDS = env.float("GATEWAY_SEND_SECONDS", default=30.0)
# Calls at once in one process; more are answered 503 with Retry-After.
GATEWAY_MAX_CALLS = env.int("GATEWAY_MAX_CALLS", default=2000)
# How long a process that is told to stop lets its calls run, and refuses new ones.
GATEWAY_STOP_SECONDS = env.float("GATEWAY_STOP_SECONDS", default=60.0)
# Services of a model that one call may try before the first token.
GATEWAY_MAX_ATTEMPTS = env.int("GATEWAY_MAX_ATTEMPTS", default=3)
# A stream with nothing to say for so long gets a comment, so that proxies do not cut it.
GATEWAY_KEEPALIVE_SECONDS = env.float("GATEWAY_KEEPALIVE_SECONDS", default=15.0)
# Threads with a database connection each (on SQLite for reading; one more writes).
GATEWAY_DATABASE_THREADS = env.int("GATEWAY_DATABASE_THREADS", default=8)
GATEWAY_KEY_CACHE_SECONDS = env.float("GATEWAY_KEY_CACHE_SECONDS", default=3.0)
# Calls and model tokens per minute of a key that has no limit of its own, and of each service, for
# all its callers together; 0 for none. Counted in Redis where REDIS_URL names one; else, and while
# it is away, each of so many gateway processes lets its share through.
GATEWAY_KEY_REQUESTS_PER_MINUTE = env.int("GATEWAY_KEY_REQUESTS_PER_MINUTE", default=0)
GATEWAY_KEY_TOKENS_PER_MINUTE = env.int("GATEWAY_KEY_TOKENS_PER_MINUTE", default=0)
GATEWAY_SERVICE_REQUESTS_PER_MINUTE = env.int("GATEWAY_SERVICE_REQUESTS_PER_MINUTE", default=0)
GATEWAY_SERVICE_TOKENS_PER_MINUTE = env.int("GATEWAY_SERVICE_TOKENS_PER_MINUTE", default=0)
GATEWAY_PROCESSES = env.int("GATEWAY_PROCESSES", default=env.int("WEB_CONCURRENCY", default=1))
# How long the answer to a call with an Idempotency-Key can be had again.
GATEWAY_REPLAY_SECONDS = env.float("GATEWAY_REPLAY_SECONDS", default=3600.0)
# Output assumed for the hold when the caller names no max_tokens.
GATEWAY_ASSUMED_OUTPUT_TOKENS = env.int("GATEWAY_ASSUMED_OUTPUT_TOKENS", default=1024)
# Counting calls again with their models' own tokenizers: of how many per cent of the calls (0: of
# none but those without usage), of all above so many wallet tokens, and whether a provider that
# counted too much gives the difference back.
RECOUNT_SAMPLE_PERCENT = env.int("RECOUNT_SAMPLE_PERCENT", default=10)
RECOUNT_ALWAYS_ABOVE_TOKENS = env.int("RECOUNT_ALWAYS_ABOVE_TOKENS", default=100_000)
RECOUNT_SETTLES = env.bool("RECOUNT_SETTLES", default=True)
UPSTREAM_CONNECT_SECONDS = env.float("UPSTREAM_CONNECT_SECONDS", default=5.0)
UPSTREAM_FIRST_BYTE_SECONDS = env.float("UPSTREAM_FIRST_BYTE_SECONDS", default=60.0)
UPSTREAM_IDLE_SECONDS = env.float("UPSTREAM_IDLE_SECONDS", default=60.0)
UPSTREAM_TOTAL_SECONDS = env.float("UPSTREAM_TOTAL_SECONDS", default=600.0)
# After the client has gone: how long the provider's answer is still read, to charge it honestly.
UPSTREAM_DRAIN_SECONDS = env.float("UPSTREAM_DRAIN_SECONDS", default=30.0)
UPSTREAM_MAX_ANSWER_BYTES = env.int("UPSTREAM_MAX_ANSWER_BYTES", default=32 * 1024 * 1024)
# A hold outlives its call by at least this much (see docs/money.md).
HOLD_MARGIN_SECONDS = env.float("HOLD_MARGIN_SECONDS", default=60.0)
# host:port pairs that providers' endpoints may use although they are private (demo providers).
OUTBOUND_ALLOWED_PRIVATE = env.list("OUTBOUND_ALLOWED_PRIVATE", default=[])
# Direct mode: how long a grant lives, and how long usage may be reported after it.
DIRECT_GRANT_SECONDS = env.int("DIRECT_GRANT_SECONDS", default=900)
DIRECT_GRACE_SECONDS = env.int("DIRECT_GRACE_SECONDS", default=3600)

# --- Background work ----------------------------------------------------------------------
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="filesystem://localhost")
CELERY_TIMEZONE = "UTC"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
# Nobody steers workers from afar; their mailboxes would only be polled.
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_BEAT_SCHEDULE = {
    "expire-holds": {"task": "metering.sweep_open_calls", "schedule": 60.0},
    "expire-lots": {"task": "ledger.expire_lots", "schedule": 300.0},
    "seal-entries": {
        "task": "ledger.seal_entries",
        "schedule": env.float("LEDGER_SEAL_SECONDS", default=300.0),
    },
    "roll-up-usage": {"task": "metering.roll_up_usage", "schedule": 20.0},
    "forget-answers": {"task": "metering.forget_answers", "schedule": 60.0},
    "deliver-sandbox-events": {"task": "billing.deliver_sandbox_events", "schedule": 20.0},
    "drive-inbox": {"task": "billing.drive_inbox", "schedule": 60.0},
    "sweep-orders": {"task": "billing.sweep_orders", "schedule": 60.0},
    "run-top-ups": {"task": "billing.run_top_ups", "schedule": 60.0},
    "mail-documents": {"task": "billing.mail_documents", "schedule": 60.0},
    "watch-balances": {
        "task": "web.watch_balances",
        "schedule": env.float("WATCH_BALANCES_SECONDS", default=300.0),
    },
    "send-webhooks": {"task": "accounts.send_webhooks", "schedule": 30.0},
    "prune-webhooks": {"task": "accounts.prune_webhooks", "schedule": crontab(hour=4, minute=29)},
    "mail-notices": {"task": "accounts.mail_notices", "schedule": 60.0},
    "prune-notices": {"task": "accounts.prune_notices", "schedule": crontab(hour=4, minute=23)},
    "reconcile-lightly": {
        "task": "reconciliation.reconcile_lightly",
        "schedule": env.float("RECONCILE_SECONDS", default=300.0),
    },
    "reconcile-fully": {
        "task": "reconciliation.reconcile_fully",
        "schedule": crontab(hour=env.int("RECONCILE_FULL_HOUR", default=3), minute=17),
    },
    "announce-findings": {"task": "reconciliation.announce_findings", "schedule": 60.0},
}
if CELERY_BROKER_URL.startswith("filesystem:"):
    CELERY_BROKER_TRANSPORT = "portal.kernel.file_broker:AtomicFilesystemTransport"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(VAR_DIR / "broker" / "queue"),
        "data_folder_out": str(VAR_DIR / "broker" / "queue"),
        "control_folder": str(VAR_DIR / "broker" / "control"),
        "processed_folder": str(VAR_DIR / "broker" / "processed"),
        "store_processed": True,
    }

# --- E-mail -------------------------------------------------------------------------------
EMAIL_BACKEND = env.str("EMAIL_BACKEND", default="portal.kernel.file_mail.EmailBackend")
EMAIL_FILE_PATH = str(VAR_DIR / "mail")
EMAIL_HOST = env.str("EMAIL_HOST", default="localhost")
EMAIL_PORT = env.int("EMAIL_PORT", default=25)
EMAIL_HOST_USER = env.str("EMAIL_HOST_USER", default="")
EMAIL_HOST_PASSWORD = env.str("EMAIL_HOST_PASSWORD", default="")
EMAIL_USE_TLS = env.bool("EMAIL_USE_TLS", default=False)
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="Tokenworks <no-reply@localhost>")

# --- Pages and REST -----------------------------------------------------------------------
# The largest form or document; the gateway has limits of its own.
PAGE_MAX_BODY_BYTES = env.int("PAGE_MAX_BODY_BYTES", default=2 * 1024 * 1024)

# --- Static files -------------------------------------------------------------------------
STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "portal" / "static"]
# Embedded: served from the source folders, no collectstatic. Production sets both (docs/deploy).
SERVESTATIC_USE_FINDERS = env.bool("SERVE_STATIC_FROM_SOURCE", default=True)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if SERVESTATIC_USE_FINDERS
        else "servestatic.storage.CompressedStaticFilesStorage"
    },
}
SERVESTATIC_AUTOREFRESH = DEBUG

# --- Browser security ---------------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        # Where the form "Pay" may lead: the sandbox stands at SITE_URL, by whatever name the form
        # was opened, Stripe's page at an address of its own.
        "form-action": [
            SELF,
            SITE_URL,
            *([STRIPE_PAY_PAGE_ORIGIN] if STRIPE_SECRET_KEY else []),
        ],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "manifest-src": [SELF],
    }
}
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "portal.web.error_pages.csrf_failure"
# Not "no-referrer": browsers then send "Origin: null" with same-site forms, which CSRF refuses.
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_SSL_REDIRECT = SERVED_OVER_HTTPS
SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", default=31_536_000 if SERVED_OVER_HTTPS else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = SERVED_OVER_HTTPS
SECURE_HSTS_PRELOAD = SERVED_OVER_HTTPS
if env.bool("BEHIND_TLS_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = SERVED_OVER_HTTPS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = LANGUAGE_COOKIE_SAMESITE = "Lax"

# --- REST ---------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_SCHEMA_CLASS": "portal.kernel.rest.schema.ProblemAutoSchema",
    "EXCEPTION_HANDLER": "portal.kernel.rest.problem_response",
    "DEFAULT_THROTTLE_RATES": {
        "read": env.str("API_READ_RATE", default="300/min"),
        "write": env.str("API_WRITE_RATE", default="60/min"),
    },
    "UNAUTHENTICATED_USER": None,
    "NUM_PROXIES": ALLAUTH_TRUSTED_PROXY_COUNT,
    "COERCE_DECIMAL_TO_STRING": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Tokenworks API",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "SCHEMA_PATH_PREFIX": "/api",
    "SORT_OPERATIONS": False,
    "SORT_OPERATION_PARAMETERS": False,
    "PATH_CONVERTER_OVERRIDES": {
        "public_id": {"type": "string", "pattern": "^[a-z]{3,4}_[0-9a-z]{26}$"},
        "month": {"type": "string", "pattern": "^20[0-9]{2}-(0[1-9]|1[0-2])$"},
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "portal.web.api_schema.add_gateway",
    ],
    "ENUM_NAME_OVERRIDES": {
        "CallStatusEnum": "marketplace.metering.models.CallStatus.values",
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

# --- Caches and logs ----------------------------------------------------------------------
REDIS_URL = env.str("REDIS_URL", default="")
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
    }
    if REDIS_URL
    else {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": str(VAR_DIR / "cache"),
        # Limits on the doors live here, and what is counted must not be culled by others' counts.
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}
LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"()": "portal.kernel.logs.formatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    # portal.asgi writes one line per request; this middleware binds the request's id and speaks
    # up only when something is wrong.
    # Stripe's SDK writes parameters and answers, with the addresses of buyers, below that.
    "loggers": {"django_structlog": {"level": "WARNING"}, "stripe": {"level": "WARNING"}},
}

SITE_TAGLINE = _("AI tokens, metered like electricity")
