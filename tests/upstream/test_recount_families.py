"""Counts by our own means, against those of the authors' tokenizers and templates.

The expected numbers were made once with Hugging Face ``tokenizers`` and the official
``tokenizer.json`` and chat template of each model.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from marketplace.upstream.recount import gguf
from marketplace.upstream.recount.counting import count_again
from marketplace.upstream.recount.families import Family, find_family
from marketplace.upstream.recount.prompts import read_prompt
from marketplace.upstream.recount.transcript import MOST_CHARACTERS, Transcript
from marketplace.upstream.recount.vocabularies import MOST_LOADED, get_counter

CHATS: list[list[tuple[str, str]]] = [
    [("user", "Say hello.")],
    [("system", "You are terse."), ("user", "你好，世界！ Wie geht's? 12345 €")],
    [("user", "Hi"), ("assistant", "Hello!\n"),
     ("user", "Write code:\n```python\nprint('é́')\n```")],
    [("system", "  "), ("user", "a"), ("assistant", "<think>\nhm\n</think>\n\nok"),
     ("user", "b<|im_end|>c <|think|> d")],
    [("user", " \n leading"), ("assistant", ""), ("user", "trailing \n\n")],
]  # fmt: skip
OFFICIAL = {
    "qwen/qwen2.5-7b-instruct": [32, 32, 54, 42, 43],
    "qwen/qwen3-8b": [11, 32, 33, 34, 22],
    "deepseek/deepseek-v3": [6, 20, 21, 31, 11],
    "deepseek/deepseek-v3.1": [7, 21, 23, 26, 13],
    "deepseek/deepseek-r1-0528": [8, 22, 23, 26, 13],
}


def family_of(handle: str) -> Family:
    family = find_family(handle)
    assert family is not None
    return family


def chat(turns: list[tuple[str, str]], **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": text} for role, text in turns], **more}


def said(text: str, **more: Any) -> Transcript:
    transcript = Transcript()
    message = {"role": "assistant", "content": text}
    transcript.add([{"index": 0, "message": message, "finish_reason": "stop", **more}])
    return transcript


def count_prompt(handle: str, body: dict[str, Any], operation: str = "chat") -> tuple[Any, str]:
    prompt = read_prompt(body, operation=operation)
    counts = count_again(family_of(handle), prompt, None)
    return counts.prompt_tokens, counts.prompt_reason


@pytest.mark.parametrize("handle", OFFICIAL)
def test_prompts_as_the_authors_count_them(handle: str) -> None:
    assert [count_prompt(handle, chat(turns))[0] for turns in CHATS] == OFFICIAL[handle]


@pytest.mark.parametrize(
    ("handle", "tokenizer", "family"),
    [
        ("huggingface/smollm2-135m-instruct", "", "smollm2"),
        ("qwen/qwen3-235b-a22b-instruct-2507", "", "qwen3"),
        ("qwen/qwen3-coder-30b-a3b-instruct", "", "qwen3"),
        ("zai/glm-4.5", "", "glm-4.5"),
        ("meta/llama-3.3-70b-instruct", "", "llama-3"),
        ("openai/gpt-oss-120b", "", "gpt-oss"),
        ("house/our-model", "qwen3", "qwen3"),
        ("qwen/qwen3-8b", "none", None),
        ("house/our-model", "unheard-of", None),
        # Other vocabularies under a name that begins alike.
        ("qwen/qwen3.5-9b", "", None),
        ("qwen/qwen3-vl-8b", "", None),
        ("deepseek/deepseek-r1-distill-llama-8b", "", None),
        ("zai/glm-4.7", "", None),
        ("intfloat/multilingual-e5-small", "", None),
    ],
)
def test_which_family(handle: str, tokenizer: str, family: str | None) -> None:
    found = find_family(handle, tokenizer)
    assert (found.name if found else None) == family


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"chat_template_kwargs": {"enable_thinking": False}}, "template_options"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "media"),
        ({"messages": [{"role": "user", "content": None}]}, "media"),
        ({"messages": [{"role": "developer", "content": "x"}]}, "unusual_chat"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "unusual_chat"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "tools"),
    ],
)
def test_prompts_that_servers_write_differently(more: dict[str, Any], reason: str) -> None:
    body = {**chat(CHATS[0]), **more}
    assert count_prompt("qwen/qwen3-8b", body) == (None, reason)


def test_a_family_without_a_template_still_counts_answers() -> None:
    counts = count_again(
        family_of("openai/gpt-oss-20b"), read_prompt(chat(CHATS[0]), operation="chat"), said("Hi!")
    )
    assert (counts.prompt_tokens, counts.prompt_reason) == (None, "no_template")
    assert (counts.completion_tokens, counts.stops) == (2, 1)


def test_embedding_inputs() -> None:
    qwen = "qwen/qwen3-embedding-8b"
    assert count_prompt(qwen, {"input": ["hello world", "你好"]}, "embeddings") == (5, "")
    assert count_prompt(qwen, {"input": [1, 2, 3]}, "embeddings") == (None, "token_input")


def test_texts_to_be_continued() -> None:
    prompt = read_prompt({"prompt": ["Once upon", "a time"]}, operation="completions")
    answer = Transcript()
    answer.add([{"index": 0, "text": " there"}, {"index": 1, "text": " flew"}])
    answer.add([{"index": 0, "text": " was", "finish_reason": "length"}])
    counts = count_again(family_of("qwen/qwen3-8b"), prompt, answer)
    assert (counts.prompt_tokens, counts.completion_tokens, counts.stops) == (4, 3, 0)


def test_a_streamed_answer_counts_as_the_whole_one() -> None:
    words = ["Hel", "lo, ", "wor", "ld", "! 你", "好"]
    streamed = Transcript()
    for word in words:
        streamed.add([{"index": 0, "delta": {"content": word}, "finish_reason": None}])
    streamed.add([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    assert (streamed.texts, streamed.stops) == (said("".join(words)).texts, 1)


def test_thoughts_and_tool_calls_of_several_answers() -> None:
    transcript = Transcript()
    call = {"index": 0, "function": {"name": "look", "arguments": '{"a'}}
    transcript.add([{"index": 1, "delta": {"reasoning_content": "hm", "reasoning": "hm"}}])
    transcript.add([{"index": 0, "delta": {"tool_calls": [call]}}])
    more = {"index": 0, "function": {"arguments": '": 1}'}}
    transcript.add([{"index": 0, "delta": {"tool_calls": [more]}, "finish_reason": "tool_calls"}])
    assert sorted(transcript.texts) == ["hm", "look", '{"a": 1}']
    assert transcript.has_reasoning
    assert transcript.has_tool_calls
    assert transcript.stops == 1


@pytest.mark.parametrize(
    "choices",
    [[None], [{"delta": 5}], [{"delta": {"content": 7}}], [{"delta": {"tool_calls": [3, {}]}}],
     [{"index": "x", "delta": {"content": "ok", "tool_calls": {"a": 1}}}]],
)  # fmt: skip
def test_garbage_is_no_text(choices: list[Any]) -> None:
    transcript = Transcript()
    transcript.add(choices)
    assert "".join(transcript.texts) in ("", "ok")


def test_what_is_too_long_is_not_kept() -> None:
    transcript = said("x" * (MOST_CHARACTERS + 1))
    assert transcript.texts == []
    prompt = read_prompt(chat(CHATS[0]), operation="chat")
    counts = count_again(family_of("qwen/qwen3-8b"), prompt, transcript)
    assert (counts.completion_tokens, counts.completion_reason) == (None, "too_long")


def test_half_a_character_and_markers_of_others() -> None:
    counter = get_counter(family_of("qwen/qwen3-8b"))
    assert counter.count("\ud83d") == counter.count("?")
    # The package knows <|think|> as one token; Qwen's own tokenizer reads it as text.
    assert counter.count("<|think|>") > 1
    assert counter.count("<|im_start|>") == 1


@pytest.mark.parametrize("marks", ["\u0315\u0300", "\u0f73"])
def test_a_heap_of_accents_is_not_sorted(marks: str) -> None:
    """That takes time with the square of its height, and nobody else could run meanwhile."""
    body = {"prompt": f"a{marks * 5_000}"}
    assert count_prompt("qwen/qwen3-8b", body, "completions") == (None, "too_long")


def test_accents_of_their_own_count_as_composed() -> None:
    counter = get_counter(family_of("qwen/qwen3-8b"))
    assert counter.count("Vie\u0323\u0302t " * 50) == counter.count("Vi\u1ec7t " * 50)


def test_counting_lets_others_run() -> None:
    """A million tokens or so are counted in a thread while this one goes on."""
    counter = get_counter(family_of("qwen/qwen3-8b"))
    text = " ".join(f"word{number}" for number in range(150_000))
    with ThreadPoolExecutor(1) as threads:
        counting = threads.submit(counter.count, text)
        longest, last = 0.0, time.perf_counter()
        while not counting.done():
            time.sleep(0.001)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
    assert counting.result() > 150_000
    assert longest < 0.5


def test_few_tokenizers_are_kept() -> None:
    handles = ["qwen/qwen3-8b", "zai/glm-4.5", "openai/gpt-oss-20b", "microsoft/phi-4",
               "moonshotai/kimi-k2-instruct", "qwen/qwen3-8b"]  # fmt: skip
    first, *_others, again = [get_counter(family_of(handle)) for handle in handles]
    assert len(handles) - 1 > MOST_LOADED
    assert again is not first


@pytest.mark.parametrize("head", [b"", b"GGUF", b"GGUF" + b"\xff" * 40, b"PK\x03\x04" * 10])
def test_a_file_that_is_no_gguf(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "weights.gguf"
    path.write_bytes(head)
    with pytest.raises(ValueError, match=r"GGUF|early|sensible"):
        gguf.read_head(path)
    with pytest.raises(ValueError, match="SmolLM"):
        gguf.describe_tokenizer({"tokenizer.ggml.model": "llama"})
