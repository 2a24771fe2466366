"""What secrets look like: tokens with a known beginning, headers, URLs with a password, private keys, assignments.

Imported for the first text that may hold one, since making the patterns takes some milliseconds. No pattern can be made
to look at the same character again and again: what may be long is bounded, or begins at the only place where it can,
so the time is linear in the length of the text, whatever the text is.
"""

from __future__ import annotations

import base64
import re

from loghook.redaction.hints import LONG, NAME, placeholder

__all__ = ["replaced"]

# A token begins where no other character of a token is before it, or behind an escape such as the \n of a repr.
_ESCAPE = r"(?<=\\n)|(?<=\\r)|(?<=\\t)"
_START = rf"(?:(?<![A-Za-z0-9_-])|{_ESCAPE})"
_WORD_START = rf"(?:(?<![A-Za-z0-9])|{_ESCAPE})"
_WORD = "[A-Za-z0-9_-]"
_TOKENS = tuple(
    (what, hints.split(), re.compile(pattern))
    for what, hints, pattern in (
        ("AWS key", "AKIA ASIA ABIA ACCA", rf"{_WORD_START}A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{{16}}(?![A-Za-z0-9])"),
        ("GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_[A-Za-z0-9]{36,255}"),
        ("GitHub token", "github_pat_", r"github_pat_[A-Za-z0-9_]{22,255}"),
        ("GitLab token", "gl", rf"gl(?:pat|ptt|dt|rt|cbt|ft|soat|agent|imt|oas)-{_WORD}{{20,300}}"),
        ("Slack token", "xox xapp-", r"xox[abeoprs]-[A-Za-z0-9-]{15,300}|xapp-\d-[A-Za-z0-9-]{20,300}"),
        ("Slack webhook", "slack.com/", r"(?<=slack\.com/)(?:services|workflows|triggers)/[A-Za-z0-9/_-]{20,300}"),
        ("Anthropic key", "sk-ant-", rf"{_START}sk-ant-{_WORD}{{20,300}}"),
        ("OpenAI key", "sk-", rf"{_START}sk-{_WORD}{{20,300}}"),
        ("Hugging Face token", "hf_ api_org_", rf"{_WORD_START}(?:hf|api_org)_[A-Za-z0-9]{{30,100}}"),
        ("Google key", "AIza GOCSPX-", rf"AIza{_WORD}{{35}}|GOCSPX-{_WORD}{{28}}"),
        ("Google token", "ya29. 1//0", rf"ya29\.{_WORD}{{20,2000}}|(?<![\w/])1//0{_WORD}{{40,300}}"),
        ("JWT", "eyJ", rf"{_START}eyJ{_WORD}{{8,}}\.eyJ{_WORD}{{4,}}\.{_WORD}*"),
        ("loghook key", "lh_", rf"{_START}lh_{_WORD}{{20,300}}"),
        ("Stripe key", "k_live_ k_test_", rf"{_START}[sr]k_(?:live|test)_[A-Za-z0-9]{{20,300}}"),
        ("SendGrid key", "SG.", rf"{_START}SG\.{_WORD}{{20,24}}\.{_WORD}{{39,50}}"),
        ("npm token", "npm_", rf"{_START}npm_[A-Za-z0-9]{{36}}"),
        ("PyPI token", "pypi-", rf"{_START}pypi-{_WORD}{{50,2000}}"),
        ("Docker token", "dckr_pat_", rf"dckr_pat_{_WORD}{{20,100}}"),
        ("Databricks token", "dapi", rf"{_START}dapi[0-9a-f]{{32}}"),
        ("DigitalOcean token", "_v1_", r"do[opr]_v1_[0-9a-f]{64}"),
        ("Telegram token", ":AA", rf"(?<!\d)\d{{8,10}}:AA{_WORD}{{33}}"),
        ("Azure key", "AccountKey=", r"(?<=AccountKey=)[A-Za-z0-9+/]{80,100}={0,2}"),
        ("age key", "AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[A-Z0-9]{50,100}"),
        ("Vault token", "hvs. hvb.", rf"{_START}hv[sb]\.{_WORD}{{24,300}}"),
        ("Groq key", "gsk_", rf"{_START}gsk_[A-Za-z0-9]{{40,100}}"),
        ("xAI key", "xai-", rf"{_START}xai-[A-Za-z0-9]{{60,100}}"),
        ("NVIDIA key", "nvapi-", rf"{_START}nvapi-{_WORD}{{50,100}}"),
        ("Replicate token", "r8_", rf"{_START}r8_[A-Za-z0-9]{{37}}"),
        ("Weights & Biases key", "wandb_v", rf"wandb_v\d_{_WORD}{{40,200}}"),
    )
)
"""Each: what it is, the beginnings that a text with one has, what all of it looks like."""

_URL = re.compile(r"(?<=://)(?P<before>[^\s/@:\"'<>]{0,255}:)(?P<it>[^\s/\"'<>]{1,512})(?=@[^\s/@])")
_SCHEME = r"(?:bearer|basic|token|digest|negotiate|apikey)"
_HEADER = re.compile(
    rf"(?i)(?P<before>authorization\\?[\"']{{0,2}}\s{{0,3}}[:=,]\s{{0,3}}b?\\?[\"'\[(]{{0,3}}"
    rf"(?:{_SCHEME}\s{{1,3}}|(?=[A-Za-z0-9._~+/=-]{{20}})))"
    r"(?P<it>[^\s\"',;)\]}\[\\]{4,8192})"
)
_BEARER = re.compile(r"(?i)(?<![a-z])(?P<before>bearer\s{1,3})(?P<it>[A-Za-z0-9._~+/=-]{20,8192})")
_BASIC = re.compile(r"(?i)(?<![a-z])(?P<before>basic\s{1,3})(?P<it>[A-Za-z0-9+/]{16,8192}={0,2})")
_ASSIGNED = re.compile(
    rf"(?i)(?P<name>{NAME}|(?<![a-z])token)(?P<sep>\\?[\"']?\s{{0,3}}[:=]\s{{0,3}})(?P<quote>b?\\?[\"']?)"
    r"(?P<it>(?<=[\"'])[^\"'\\\n]{4,8192}|[^\s\"',;&(){}\[\]<>\\]{6,8192})"
)
_WORDS = ("pass", "secret", "key", "token", "credential")
_GAP = r"(?:\\+[nr]|[\s\"',])"
_PRIVATE = re.compile(
    rf"-----BEGIN [A-Z0-9 ]{{0,40}}PRIVATE KEY(?: BLOCK)?-----"
    rf"(?:{_GAP}+(?:Proc-Type|DEK-Info|Version): ?[^\s\\]{{1,100}})*"
    rf"(?:{_GAP}+[A-Za-z0-9+/]{{16,}}={{0,2}})*(?:{_GAP}+[A-Za-z0-9+/=]{{1,64}}(?![A-Za-z0-9+/=]))?"
    rf"(?:{_GAP}{{0,9}}-----END [A-Z0-9 ]{{0,40}}PRIVATE KEY(?: BLOCK)?-----)?"
)
_PASSES = 8
"""What is replaced may show that its neighbour is a secret too; ten in a row without a gap are nobody's log line."""

_CODE = re.compile(r"[A-Za-z_.]*")


def replaced(text: str) -> str:
    """Return `text` with all that looks like a secret replaced."""
    for _ in range(_PASSES):
        before, text = text, _replaced_once(text)
        if text == before:
            break
    return text


def _replaced_once(text: str) -> str:
    if "PRIVATE KEY" in text:
        text = _PRIVATE.sub(placeholder("private key"), text)
    if "@" in text:
        text = _URL.sub(rf"\g<before>{placeholder('password')}", text)
    lower = text.lower()
    if "authorization" in lower:
        text = _HEADER.sub(rf"\g<before>{placeholder('token')}", text)
    for what, hints, pattern in _TOKENS:
        if any(hint in text for hint in hints):
            text = pattern.sub(_token if what == "OpenAI key" else placeholder(what), text)
    if "bearer" in lower:
        text = _BEARER.sub(_bearer, text)
    if "basic" in lower:
        text = _BASIC.sub(_basic, text)
    if any(word in lower for word in _WORDS):
        text = _ASSIGNED.sub(_assigned, text)
    return text


def _token(found: re.Match[str]) -> str:
    is_word = not _is_random(found[0])  # sk-learn-something, say
    return found[0] if is_word else placeholder("OpenAI key")


def _is_random(token: str) -> bool:
    has_digit = any(character.isdigit() for character in token)
    return has_digit and (token.lower() != token or re.search(r"[0-9a-f]{32}", token) is not None)


def _bearer(found: re.Match[str]) -> str:
    has_digit = any(character.isdigit() for character in found["it"])
    return f"{found['before']}{placeholder('token')}" if has_digit else found[0]


def _basic(found: re.Match[str]) -> str:
    try:
        is_pair = b":" in base64.b64decode(found["it"] + "==")
    except ValueError:
        return found[0]
    return f"{found['before']}{placeholder('password')}" if is_pair else found[0]


def _assigned(found: re.Match[str]) -> str:
    """Of `password=...` replace the value, unless it is code or prose: `password=password`, `password: wrong`."""
    name, value, is_quoted = found["name"].lower(), found["it"], found["quote"].endswith(("'", '"'))
    if value.startswith(("[redacted", "***", "$", "%")) or value.endswith("("):
        return found[0]
    if name == "token" and (len(value) < LONG or not any(character.isdigit() for character in value)):
        return found[0]
    if not is_quoted and _CODE.fullmatch(value):
        return found[0]
    return f"{found['name']}{found['sep']}{found['quote']}{placeholder(name)}"
