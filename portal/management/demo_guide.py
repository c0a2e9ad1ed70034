"""What a newcomer sees after the start: where to sign in and what to paste."""

import json
from pathlib import Path
from typing import Any

EXAMPLE = '[{"role": "user", "content": "Say hello in five words."}]'


def read_demo(var: Path) -> dict[str, Any] | None:
    """The demo's logins and keys, or None where no demo data was loaded."""
    try:
        return json.loads((var / "demo.json").read_text())
    except FileNotFoundError:
        return None


def describe_logins(demo: dict[str, Any], site_url: str) -> str:
    width = max(len(login["email"]) for login in demo["logins"])
    lines = [
        f"    {login['email']:<{width}}  {login['password']}  ({login['role']})"
        for login in demo["logins"]
    ]
    if secret := demo.get("operator_totp_secret"):
        lines.append(f"    The operator's second factor (authenticator secret): {secret}")
    return "\n".join([f"  Sign in at {site_url}/login/ with", *lines])


def describe_calls(demo: dict[str, Any], site_url: str) -> str:
    """A ``curl`` and a Python snippet that work as they are."""
    key, model = demo["api_key"], demo["chat_model"]
    return f"""\
  Call a model with curl

curl {site_url}/v1/chat/completions \\
  -H "Authorization: Bearer {key}" \\
  -H "Content-Type: application/json" \\
  -d '{{"model": "{model}", "messages": {EXAMPLE}}}'

  or with Python (pip install openai)

from openai import OpenAI
client = OpenAI(base_url="{site_url}/v1", api_key="{key}")
answer = client.chat.completions.create(model="{model}", messages={EXAMPLE})
print(answer.choices[0].message.content, answer.usage)
"""
