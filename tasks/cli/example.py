"""The file that `crm1c init` writes; @name@ stands for an answer."""

EXAMPLE = """\
# Настройки crm1c. Все ключи с пояснениями: docs/configuration.md.
# Секретов в файле нет: "env:ИМЯ" — из переменной окружения, "file:ПУТЬ" — из файла (Docker secrets).

[database]  # для одной машины хватит файла SQLite; для нагрузки — PostgreSQL
url = "sqlite:///crm1c.db"            # "postgresql+psycopg://crm1c@127.0.0.1/crm1c"

[broker]    # memory:// — всё в одном процессе (crm1c up); для нескольких — RabbitMQ
url = "memory://"                     # "amqp://crm1c@127.0.0.1:5672/crm1c"

[redis]     # embedded:// — внутри процесса
url = "embedded://"                   # "redis://127.0.0.1:6379/0"

[web]
host = "127.0.0.1"
port = 8080
public_url = "@public_url@"           # так crm1c видна из CRM: сюда придут вебхуки

[onec.main]
base_url = "@onec@"
username = "@username@"
password = "env:ONEC_PASSWORD"
profile = "accounting30"              # 1С:Бухгалтерия 3.0
organisation = "@organisation@"       # ИНН нашей организации в этой базе
max_sessions = 3                      # столько сеансов 1С crm1c займёт, не больше
timezone = "Europe/Moscow"            # часовой пояс сервера 1С

[crm.espo]
kind = "espocrm"
base_url = "@crm@"
api_key = "env:ESPO_API_KEY"
# webhook_secret = ["env:ESPO_WEBHOOK_SECRET"]  # ключи вебхуков, заведённых не командой crm1c setup

[invoicing]
crm_stage = "Proposal"                # стадия сделки, на которой выставляется счёт
vat = "auto"                          # ставка по дате: 22 % с 2026-01-01
line = "Услуги по договору: {name}"   # строка счёта для сделки без товаров

[security]
tokens = ["env:API_TOKEN"]            # для кнопки и /api; другие: crm1c tokens create
"""
