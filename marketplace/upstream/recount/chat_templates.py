"""How models write a chat of plain texts into one prompt, as their authors' templates do.

Only what is needed for texts by system, user and assistant: whatever else a request has (tools,
media, options of the template) is left to ``prompts``, which says that it cannot be counted. Each
ends where the answer begins.
"""

from collections.abc import Callable, Sequence

# (role, text), the last one by the user.
Turns = Sequence[tuple[str, str]]
ChatTemplate = Callable[[Turns], str]

_SMOLLM_SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
_QWEN_SYSTEM = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."


def smollm2(turns: Turns) -> str:
    return _chatml(_with_system(turns, _SMOLLM_SYSTEM))


def qwen2_5(turns: Turns) -> str:
    return _chatml(_with_system(turns, _QWEN_SYSTEM))


def qwen3(turns: Turns) -> str:
    """Earlier thoughts are not shown to it again."""
    return _chatml(
        [
            (role, _speak(text).lstrip("\n"))
            if role == "assistant" and "</think>" in text
            else (role, text)
            for role, text in turns
        ]
    )


def deepseek_v3(turns: Turns) -> str:
    return _deepseek(turns) + "<｜Assistant｜>"


def deepseek_v3_1(turns: Turns) -> str:
    """Without thinking, as long as nobody asks for it."""
    spoken = [(role, _speak(text, 1) if role == "assistant" else text) for role, text in turns]
    return _deepseek(spoken, before_answers="</think>") + "<｜Assistant｜></think>"


def deepseek_r1(turns: Turns) -> str:
    spoken = [(role, _speak(text) if role == "assistant" else text) for role, text in turns]
    return _deepseek(spoken) + "<｜Assistant｜><think>\n"


def glm4_5(turns: Turns) -> str:
    prompt = "[gMASK]<sop>"
    for role, text in turns:
        if role == "assistant":
            spoken = _speak(text).strip()
            prompt += "<|assistant|>\n<think></think>" + (f"\n{spoken}" if spoken else "")
        else:
            prompt += f"<|{role}|>\n{text}"
    return prompt + "<|assistant|>"


def _with_system(turns: Turns, default: str) -> Turns:
    return turns if turns[0][0] == "system" else [("system", default), *turns]


def _chatml(turns: Turns) -> str:
    written = "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns)
    return f"{written}<|im_start|>assistant\n"


def _speak(text: str, most: int = -1) -> str:
    """An earlier answer without its thoughts."""
    return text.split("</think>", most)[-1]


def _deepseek(turns: Turns, *, before_answers: str = "") -> str:
    prompt = "<｜begin▁of▁sentence｜>"
    prompt += "\n\n".join(text for role, text in turns if role == "system")
    for role, text in turns:
        if role == "user":
            prompt += f"<｜User｜>{text}"
        elif role == "assistant":
            prompt += f"<｜Assistant｜>{before_answers}{text}<｜end▁of▁sentence｜>"
    return prompt
