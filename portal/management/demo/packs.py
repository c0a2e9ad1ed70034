"""Token packs: the larger, the cheaper per token."""

from portal.management.demo.shapes import DemoPack

PACKS = (
    DemoPack(
        slug="starter",
        name_en="Starter",
        name_zh="入门包",
        summary_en="To get going: enough for the first weeks of a small team.",
        summary_zh="轻松起步：足够小团队最初几周使用。",
        paid_tokens=10_000_000,
        prices={"USD": 1000, "EUR": 920, "GBP": 790, "CNY": 7200, "JPY": 1550},
    ),
    DemoPack(
        slug="team",
        name_en="Team",
        name_zh="团队包",
        summary_en="For daily work: four per cent more tokens than you pay for.",
        summary_zh="日常使用：多送百分之四的词元。",
        paid_tokens=50_000_000,
        bonus_tokens=2_000_000,
        prices={"USD": 5000, "EUR": 4600, "GBP": 3950, "CNY": 36000, "JPY": 7750},
    ),
    DemoPack(
        slug="business",
        name_en="Business",
        name_zh="企业包",
        summary_en="For whole departments: seven per cent on top.",
        summary_zh="适合整个部门：多送百分之七。",
        paid_tokens=200_000_000,
        bonus_tokens=14_000_000,
        prices={"USD": 20000, "EUR": 18400, "GBP": 15800, "CNY": 144000, "JPY": 31000},
    ),
    DemoPack(
        slug="scale",
        name_en="Scale",
        name_zh="规模包",
        summary_en="For products built on models: ten per cent on top, good for two years.",
        summary_zh="为以模型为核心的产品而设：多送百分之十，两年有效。",
        paid_tokens=1_000_000_000,
        bonus_tokens=100_000_000,
        expires_after_days=730,
        prices={"USD": 100000, "EUR": 92000, "GBP": 79000, "CNY": 720000, "JPY": 155000},
    ),
)
