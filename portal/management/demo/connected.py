"""Services that really answer: two small models, each at three providers, and for test keys."""

from portal.management.demo.shapes import DemoOffer, Prices

CHAT_MODEL = "huggingface/smollm2-135m-instruct"
EMBEDDING_MODEL = "intfloat/multilingual-e5-small"

_THIS_MACHINE_EN = (
    "Really answers: the model runs on this very machine, beside the market. Region and price "
    "are for show."
)
_THIS_MACHINE_ZH = "可以真实调用：模型就运行在本机上，与平台同机。地区和价格仅作演示。"
_TEST_EN = "For test keys: the same model, paid in test tokens that are worth nothing."
_TEST_ZH = "供测试密钥使用：同一模型，以没有价值的测试词元计费。"

CONNECTED = (
    DemoOffer(
        model=CHAT_MODEL,
        provider="rhein-compute",
        region="eu-central",
        country="DE",
        quantisation="int4",
        serves="chat",
        max_output_tokens=2048,
        price=Prices(input=20, cached_input=10, output=60),
        days_live=88,
        earlier_price=Prices(input=30, cached_input=15, output=80),
        changed_days_ago=34,
        summary_en=_THIS_MACHINE_EN,
        summary_zh=_THIS_MACHINE_ZH,
    ),
    DemoOffer(
        model=CHAT_MODEL,
        provider="harbour-ai",
        region="ap-southeast",
        country="SG",
        quantisation="int4",
        serves="chat",
        max_output_tokens=2048,
        retains_prompts_days=7,
        price=Prices(input=15, cached_input=8, output=50),
        days_live=61,
        summary_en=_THIS_MACHINE_EN,
        summary_zh=_THIS_MACHINE_ZH,
    ),
    DemoOffer(
        model=CHAT_MODEL,
        provider="prairie-gpu",
        region="us-east",
        country="US",
        quantisation="int4",
        serves="chat",
        max_output_tokens=4096,
        price=Prices(input=25, cached_input=12, output=75),
        days_live=47,
        summary_en=_THIS_MACHINE_EN,
        summary_zh=_THIS_MACHINE_ZH,
    ),
    DemoOffer(
        model=EMBEDDING_MODEL,
        provider="rhein-compute",
        region="eu-central",
        country="DE",
        quantisation="int4",
        serves="embeddings",
        price=Prices(input=10),
        days_live=88,
        summary_en=_THIS_MACHINE_EN,
        summary_zh=_THIS_MACHINE_ZH,
    ),
    DemoOffer(
        model=EMBEDDING_MODEL,
        provider="harbour-ai",
        region="ap-southeast",
        country="SG",
        quantisation="int4",
        serves="embeddings",
        retains_prompts_days=7,
        price=Prices(input=8),
        days_live=61,
        summary_en=_THIS_MACHINE_EN,
        summary_zh=_THIS_MACHINE_ZH,
    ),
    DemoOffer(
        model=EMBEDDING_MODEL,
        provider="huangpu-cloud",
        region="cn-east",
        country="CN",
        quantisation="int4",
        serves="embeddings",
        price=Prices(input=9),
        days_live=29,
        summary_en=_THIS_MACHINE_EN,
        summary_zh=_THIS_MACHINE_ZH,
    ),
    DemoOffer(
        model=CHAT_MODEL,
        provider="rhein-compute",
        region="eu-central",
        country="DE",
        quantisation="int4",
        serves="chat",
        test=True,
        max_output_tokens=2048,
        price=Prices(input=20, cached_input=10, output=60),
        days_live=88,
        summary_en=_TEST_EN,
        summary_zh=_TEST_ZH,
    ),
    DemoOffer(
        model=EMBEDDING_MODEL,
        provider="rhein-compute",
        region="eu-central",
        country="DE",
        quantisation="int4",
        serves="embeddings",
        test=True,
        price=Prices(input=10),
        days_live=88,
        summary_en=_TEST_EN,
        summary_zh=_TEST_ZH,
    ),
)
