"""Chat models: facts from their authors' model cards."""

from datetime import date

from portal.management.demo.shapes import CHAT_PARAMETERS, CONNECTED_PARAMETERS, DemoModel

_EUROPEAN = ("en", "de", "fr", "es", "it", "pt", "nl", "pl")
_WORLDWIDE = ("en", "zh", "es", "fr", "de", "pt", "ru", "ar", "ja", "ko", "vi", "th", "id")

CHAT_MODELS = (
    DemoModel(
        handle="huggingface/smollm2-135m-instruct",
        name="SmolLM2 135M Instruct",
        family="SmolLM2",
        author="Hugging Face",
        released_on=date(2024, 11, 1),
        licence_spdx="Apache-2.0",
        context_length=8_192,
        parameters_millions=135,
        languages=("en",),
        tasks=("writing", "summarising"),
        industries=("education", "software"),
        summary_en=(
            "A tiny English model that runs on any computer. Good for trying things out: short "
            "chats, rewriting a sentence, simple JSON. Too small to be trusted with facts."
        ),
        summary_zh=(
            "可在任何电脑上运行的微型英文模型，适合试用：简短对话、改写句子、生成简单的 JSON。"
            "规模太小，不宜用于需要准确事实的场景。"
        ),
        parameters=CONNECTED_PARAMETERS,
    ),
    DemoModel(
        handle="qwen/qwen3-8b",
        name="Qwen3 8B",
        family="Qwen",
        author="Alibaba Qwen",
        released_on=date(2025, 4, 29),
        licence_spdx="Apache-2.0",
        context_length=32_768,
        parameters_millions=8_200,
        languages=_WORLDWIDE,
        tasks=("customer_service", "writing", "summarising", "translation", "classification"),
        industries=("retail", "hospitality", "education"),
        summary_en=(
            "A small all-rounder that speaks over a hundred languages. Answers e-mails, sorts "
            "tickets and translates at a low price; it can think step by step when asked to."
        ),
        summary_zh=(
            "支持一百多种语言的小型全能模型。以较低价格完成邮件回复、工单分类和翻译，需要时可逐步思考。"
        ),
    ),
    DemoModel(
        handle="qwen/qwen3-235b-a22b-instruct-2507",
        name="Qwen3 235B A22B Instruct 2507",
        family="Qwen",
        author="Alibaba Qwen",
        released_on=date(2025, 7, 21),
        licence_spdx="Apache-2.0",
        context_length=262_144,
        parameters_millions=235_000,
        languages=_WORLDWIDE,
        tasks=(
            "customer_service", "writing", "translation", "extraction", "reasoning",
            "long_documents",
        ),
        industries=("finance", "legal", "retail", "services"),
        summary_en=(
            "A large, direct model with a long memory: whole contracts and manuals fit into one "
            "call. Strong in Chinese and English, and in following detailed instructions."
        ),
        summary_zh=(
            "大型直答模型，上下文很长，一次调用即可读完整份合同或手册。中英文能力强，善于遵循细致的指令。"
        ),
    ),
    DemoModel(
        handle="qwen/qwen3-coder-30b-a3b-instruct",
        name="Qwen3 Coder 30B A3B Instruct",
        family="Qwen",
        author="Alibaba Qwen",
        released_on=date(2025, 7, 31),
        licence_spdx="Apache-2.0",
        context_length=262_144,
        parameters_millions=30_500,
        languages=("en", "zh"),
        tasks=("coding", "agents", "long_documents"),
        industries=("software",),
        summary_en=(
            "Writes, explains and repairs code, and works well as a coding agent with tools. Only "
            "a tenth of it is active per token, so it answers quickly."
        ),
        summary_zh=(
            "编写、讲解和修复代码，也适合作为会调用工具的编程智能体。每个词元只激活约十分之一的参数，响应很快。"
        ),
    ),
    DemoModel(
        handle="deepseek/deepseek-v3.1",
        name="DeepSeek V3.1",
        family="DeepSeek",
        author="DeepSeek",
        released_on=date(2025, 8, 21),
        licence_spdx="MIT",
        context_length=131_072,
        parameters_millions=671_000,
        languages=("en", "zh"),
        tasks=("writing", "extraction", "reasoning", "coding", "agents", "mathematics"),
        industries=("finance", "manufacturing", "software", "services"),
        summary_en=(
            "One of the strongest open models: answers directly or thinks first, as the request "
            "asks. For analysis, code and agents where quality matters more than price."
        ),
        summary_zh=(
            "最强的开放模型之一，可按请求直接作答或先思考再作答。适合质量比价格更重要的分析、编程和智能体任务。"
        ),
    ),
    DemoModel(
        handle="deepseek/deepseek-r1-0528",
        name="DeepSeek R1 0528",
        family="DeepSeek",
        author="DeepSeek",
        released_on=date(2025, 5, 28),
        licence_spdx="MIT",
        context_length=131_072,
        parameters_millions=671_000,
        languages=("en", "zh"),
        tasks=("reasoning", "mathematics", "coding"),
        industries=("finance", "manufacturing", "education"),
        summary_en=(
            "Thinks at length before it answers: for hard questions, mathematics and planning. "
            "The thinking is charged as output, so expect long answers."
        ),
        summary_zh=(
            "作答前会进行长时间思考，适合疑难问题、数学和规划。思考过程按输出计费，因此输出量较大。"
        ),
    ),
    DemoModel(
        handle="zai/glm-4.5",
        name="GLM-4.5",
        family="GLM",
        author="Z.ai (Zhipu)",
        released_on=date(2025, 7, 28),
        licence_spdx="MIT",
        context_length=131_072,
        parameters_millions=355_000,
        languages=("en", "zh"),
        tasks=("agents", "coding", "reasoning", "writing"),
        industries=("software", "media", "services"),
        summary_en=(
            "Built for agents: it plans, calls tools and writes code in one run, and drafts good "
            "Chinese and English texts besides."
        ),
        summary_zh="为智能体而生：一次任务中完成规划、工具调用和编程，中英文写作也同样出色。",
    ),
    DemoModel(
        handle="meta/llama-3.3-70b-instruct",
        name="Llama 3.3 70B Instruct",
        family="Llama",
        author="Meta",
        released_on=date(2024, 12, 6),
        licence_spdx="LicenseRef-Llama-3.3",
        context_length=131_072,
        parameters_millions=70_600,
        languages=("en", "de", "fr", "it", "pt", "hi", "es", "th"),
        tasks=("customer_service", "writing", "summarising", "extraction"),
        industries=("retail", "hospitality", "services"),
        summary_en=(
            "A dependable general model for eight languages, well supported by tools and known "
            "for keeping to its instructions."
        ),
        summary_zh="支持八种语言的可靠通用模型，工具生态成熟，以遵循指令见长（不含中文）。",
    ),
    DemoModel(
        handle="mistralai/mistral-small-3.2-24b-instruct",
        name="Mistral Small 3.2 24B Instruct",
        family="Mistral",
        author="Mistral AI",
        released_on=date(2025, 6, 20),
        licence_spdx="Apache-2.0",
        context_length=131_072,
        parameters_millions=24_000,
        languages=(*_EUROPEAN, "zh", "ja", "ko", "ar"),
        input_modalities=("text", "image"),
        tasks=("customer_service", "extraction", "translation", "vision", "summarising"),
        industries=("logistics", "public_sector", "retail"),
        summary_en=(
            "European languages at a small model's price, and it reads images too: delivery "
            "notes, forms, photographs of labels."
        ),
        summary_zh="以小模型的价格处理多种欧洲语言，还能识别图像：送货单、表格、标签照片。",
    ),
    DemoModel(
        handle="openai/gpt-oss-120b",
        name="gpt-oss 120B",
        family="gpt-oss",
        author="OpenAI",
        released_on=date(2025, 8, 5),
        licence_spdx="Apache-2.0",
        context_length=131_072,
        parameters_millions=116_800,
        languages=("en",),
        tasks=("reasoning", "mathematics", "coding", "agents"),
        industries=("finance", "software", "healthcare"),
        summary_en=(
            "OpenAI's larger open model. Reasons in three strengths that you choose per request, "
            "and uses tools reliably."
        ),
        summary_zh="OpenAI 较大的开放模型。每次请求可选择三档推理强度，工具调用稳定。",
    ),
    DemoModel(
        handle="openai/gpt-oss-20b",
        name="gpt-oss 20B",
        family="gpt-oss",
        author="OpenAI",
        released_on=date(2025, 8, 5),
        licence_spdx="Apache-2.0",
        context_length=131_072,
        parameters_millions=20_900,
        languages=("en",),
        tasks=("reasoning", "classification", "agents"),
        industries=("software", "services"),
        summary_en="The small sister of gpt-oss 120B: quick, cheap reasoning for everyday steps.",
        summary_zh="gpt-oss 120B 的小型版本：快速、低价的推理，适合日常步骤。",
    ),
    DemoModel(
        handle="moonshotai/kimi-k2-instruct",
        name="Kimi K2 Instruct",
        family="Kimi",
        author="Moonshot AI",
        released_on=date(2025, 7, 11),
        licence_spdx="LicenseRef-Modified-MIT",
        context_length=131_072,
        parameters_millions=1_000_000,
        languages=("en", "zh"),
        tasks=("agents", "coding", "writing", "reasoning"),
        industries=("software", "media", "services"),
        summary_en=(
            "A trillion parameters, made for agents that take many steps. Answers directly, "
            "without long thinking, and writes vivid texts."
        ),
        summary_zh="万亿参数，专为多步骤智能体打造。不经长时间思考直接作答，文笔生动。",
    ),
    DemoModel(
        handle="minimax/minimax-m1-80k",
        name="MiniMax M1 80K",
        family="MiniMax",
        author="MiniMax",
        released_on=date(2025, 6, 16),
        licence_spdx="Apache-2.0",
        context_length=1_000_000,
        parameters_millions=456_000,
        languages=("en", "zh"),
        tasks=("long_documents", "reasoning", "extraction"),
        industries=("legal", "finance", "public_sector"),
        summary_en=(
            "Reads a million tokens at once: the files of a whole case, a year of reports. Thinks "
            "before it answers."
        ),
        summary_zh="一次可读一百万词元：整宗案卷或全年报告。作答前先思考。",
    ),
    DemoModel(
        handle="google/gemma-3-27b-it",
        name="Gemma 3 27B Instruct",
        family="Gemma",
        author="Google",
        released_on=date(2025, 3, 12),
        licence_spdx="LicenseRef-Gemma",
        context_length=131_072,
        parameters_millions=27_400,
        languages=_WORLDWIDE,
        input_modalities=("text", "image"),
        tasks=("writing", "translation", "vision", "summarising"),
        industries=("media", "education", "hospitality"),
        summary_en=(
            "Friendly texts in over 140 languages and an eye for pictures, in a size that many "
            "providers serve cheaply."
        ),
        summary_zh="支持一百四十多种语言，行文亲切，能看懂图片；规模适中，许多服务商报价低廉。",
        parameters=CHAT_PARAMETERS,
    ),
    DemoModel(
        handle="microsoft/phi-4",
        name="Phi-4",
        family="Phi",
        author="Microsoft",
        released_on=date(2024, 12, 12),
        licence_spdx="MIT",
        context_length=16_384,
        parameters_millions=14_700,
        languages=("en",),
        tasks=("reasoning", "mathematics", "classification"),
        industries=("education", "services"),
        summary_en="A compact English model that is better at logic and numbers than its size.",
        summary_zh="紧凑的英文模型，逻辑与计算能力超出其规模。",
        parameters=CHAT_PARAMETERS,
    ),
)  # fmt: skip
