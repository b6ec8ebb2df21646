"""The errors of the OData interface (contract section 5)."""

from __future__ import annotations

INTERNAL = "Произошла внутренняя ошибка OData сервиса. Дополнительные сведения можно найти в технологическом журнале."
UNLIMITED = "Нельзя сравнивать поля неограниченной длины и поля несовместимых типов."
LOCKED = (
    "Конфликт блокировок при выполнении транзакции:\nПревышено максимальное время ожидания предоставления блокировки"
)

HTTP = {0: 400, 1: 400, 2: 400, 3: 400, 4: 400, 5: 400, 6: 400, 7: 400, 8: 404, 9: 404, 10: 400, 11: 400, 12: 400,
        13: 400, 14: 400, 15: 400, 16: 400, 17: 400, 18: 400, 19: 405, 20: 401, 21: 400, -1: 500}  # fmt: skip


class ODataError(Exception):
    """An error that is answered in 1C's own shape."""

    def __init__(self, code: int, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status or HTTP[code]


def bad_filter(option: str = "$filter") -> ODataError:
    """A query option that cannot be parsed; string literals are not echoed (sample code14)."""
    return ODataError(14, f"Error parsing {option} query option")


def no_entity(name: str) -> ODataError:
    """An entity set that is not there or not published (sample code8)."""
    return ODataError(8, f'"{name}" entity is not found')


def no_instance() -> ODataError:
    """A key that leads to nothing (sample code9)."""
    return ODataError(9, "Entity instance not found")


def no_method() -> ODataError:
    """A wrong URL or a method that does not exist (sample code6)."""
    return ODataError(6, "Метод не найден")


def no_rights() -> ODataError:
    """Rights are missing, or restrictions hide a row and allowedOnly was not asked."""
    return ODataError(20, "Нарушение прав доступа!")


def internal(message: str = INTERNAL) -> ODataError:
    """An internal or business error; not retryable by its status alone."""
    return ODataError(-1, message)
