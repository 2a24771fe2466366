"""Secrets of every shape, none of them anybody's, to be planted and looked for."""

from __future__ import annotations

__all__ = ["AROUND", "SHAPES"]

BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ\nq1bZ+2x/4fGh7JkLmNpQrStUvWx8YzA9=="

# Put together here, so that whoever looks for secrets in this file finds none.
SHAPES = {
    "AWS key": "AKIA" + "IOSFODNN7EXAMPLE",
    "GitHub token": "ghp_" + "0123456789abcdefghijABCDEFGHIJ012345",
    "GitLab token": "glpat-" + "abcdefghij_KLMNOP-12",
    "Slack token": "xoxb-" + "123456789012-1234567890123-abcdefABCDEF0123456789ab",
    "OpenAI key": "sk-proj-" + "abcABC123_abcABC123-abcABC123_T3BlbkFJabcABC123",
    "Anthropic key": "sk-ant-" + "api03-abcABC123_abcABC123-abcABC123",
    "Hugging Face token": "hf_" + "abcdefghijABCDEFGHIJabcdefghijABCD",
    "Google key": "AIza" + "SyA1234567890-abcdefghijklmnopqrstu",
    "Google token": "ya29." + "a0AfH6SMBx_abcdefghijklmnopqrstuvwxyz",
    "JWT": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFU",
    "loghook key": "lh_" + "abcdefghijklmnopqrstuvwxyz0123456789",
    "Stripe key": "sk_live_" + "abcdefghijklmnopqrstuvwx",
    "SendGrid key": "SG." + "abcdefghijklmnopqrstuv." + "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
    "npm token": "npm_" + "0123456789abcdefghijABCDEFGHIJ012345",
    "PyPI token": "pypi-" + "AgEIcHlwaS5vcmcCJDAxMjM0NTY3LTg5YWItY2RlZi0wMTIzLTQ1Njc4OWFi",
    "Docker token": "dckr_pat_" + "abcdefghij-KLMNOPQRST_0123",
    "Databricks token": "dapi" + "0123456789abcdef0123456789abcdef",
    "DigitalOcean token": "dop_v1_" + "0123456789abcdef" * 4,
    "Telegram token": "123456789:AA" + "abcdefghijklmnopqrstuvwxyz0123456",
    "age key": "AGE-SECRET-KEY-1" + "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7LQPZRY9X8GF2TVDW0S3JN54KHCE",
    "Vault token": "hvs." + "CAESIabcdefghijklmnopqrstuv",
    "Groq key": "gsk_" + "abcdefghij0123456789ABCDEFGHIJabcdefghij0123456789AB",
    "xAI key": "xai-" + "abcdefghij0123456789ABCDEFGHIJabcdefghij0123456789ABCDEFGHIJabcdefghij0123456789",
    "NVIDIA key": "nvapi-" + "abcdefghij0123456789ABCDEFGHIJabcdefghij0123456789ABCDEFGHIJ_-",
    "Replicate token": "r8_" + "abcdefghij0123456789ABCDEFGHIJabcdefg",
    "Weights & Biases key": "wandb_v1_" + "abcdefghij0123456789ABCDEFGHIJ_abcdefghij0123456789",
    "private key": f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}\n-----END RSA PRIVATE KEY-----",
}

AROUND = {
    "https://hooks.slack.com/{}": ("Slack webhook", "services/T00000000/B00000000/abcdefghijklmnopqrstuvwx"),
    "AccountName=me;AccountKey={};": ("Azure key", "abcdefghij0123456789" * 4 + "abcdef=="),
    "Authorization: Bearer {}": ("token", "abc.def"),
    "{{'Authorization': 'Basic {}'}}": ("token", "dXNlcjpwYXNz"),
    "[(b'authorization', b'Basic {}')]": ("token", "dXNlcjpwYXNz"),
    'curl -H "Authorization: token {}" http://h/': ("token", "abcd1234"),
    '"{{\\"Authorization\\": \\"Bearer {}\\"}}"': ("token", "abcd1234"),
    "using bearer {} now": ("token", "abcdefghij0123456789klmnop"),
    "Basic {}": ("password", "dXNlcjpwYXNzd29yZDEyMzQ1Njc4OTA="),
    "postgresql://user:{}@db:5432/x": ("password", "hunter2"),
    "https://:{}@host/path": ("password", "hunter@2"),
    "Namespace(password={!r}, rate=0.1)": ("password", "swordfish"),
    '{{"db": {{"password": "{}"}}}}': ("password", "x y z"),
    "DB_PASSWORD={} make": ("password", "hunter2!"),
    "api_key={}, rate=1": ("api_key", "0123456789abcdef0123456789abcdef"),
}
"""By what stands around it: what it is called, and the secret."""
