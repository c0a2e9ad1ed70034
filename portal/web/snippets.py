"""Ready-to-paste code: the base URL, the model and, on the start page, the key are filled in."""

import json

from django.conf import settings

KEY_PLACEHOLDER = "tw_live_…"
Snippet = tuple[str, str, str]


def build_snippets(
    *, model: str, key: str = KEY_PLACEHOLDER, modality: str = "chat"
) -> list[Snippet]:
    """(id, name, code) for curl, Python and JavaScript with the official clients."""
    base_url = f"{settings.SITE_URL}/v1"
    build = _embedding_snippets if modality == "embedding" else _chat_snippets
    return build(base_url, model, key)


def _chat_snippets(base_url: str, model: str, key: str) -> list[Snippet]:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello!"}]})
    return [
        ("curl", "curl", _curl(f"{base_url}/chat/completions", key, body)),
        (
            "python",
            "Python",
            f"""from openai import OpenAI

client = OpenAI(base_url="{base_url}", api_key="{key}")
answer = client.chat.completions.create(
    model="{model}",
    messages=[{{"role": "user", "content": "Hello!"}}],
)
print(answer.choices[0].message.content)
print(answer.usage.cost_tokens, "tokens")""",
        ),
        (
            "javascript",
            "JavaScript",
            f"""import OpenAI from "openai";

const client = new OpenAI({{ baseURL: "{base_url}", apiKey: "{key}" }});
const answer = await client.chat.completions.create({{
  model: "{model}",
  messages: [{{ role: "user", content: "Hello!" }}],
}});
console.log(answer.choices[0].message.content);
console.log(answer.usage.cost_tokens, "tokens");""",
        ),
    ]


def _embedding_snippets(base_url: str, model: str, key: str) -> list[Snippet]:
    body = json.dumps({"model": model, "input": ["query: red shoes"]})
    return [
        ("curl", "curl", _curl(f"{base_url}/embeddings", key, body)),
        (
            "python",
            "Python",
            f"""from openai import OpenAI

client = OpenAI(base_url="{base_url}", api_key="{key}")
answer = client.embeddings.create(model="{model}", input=["query: red shoes"])
print(len(answer.data[0].embedding), "dimensions")""",
        ),
        (
            "javascript",
            "JavaScript",
            f"""import OpenAI from "openai";

const client = new OpenAI({{ baseURL: "{base_url}", apiKey: "{key}" }});
const answer = await client.embeddings.create({{
  model: "{model}",
  input: ["query: red shoes"],
}});
console.log(answer.data[0].embedding.length, "dimensions");""",
        ),
    ]


def _curl(url: str, key: str, body: str) -> str:
    return (
        f"curl {url} \\\n"
        f'  -H "Authorization: Bearer {key}" \\\n'
        f'  -H "Content-Type: application/json" \\\n'
        f"  -d '{body}'"
    )
