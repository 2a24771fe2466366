"""OpenTelemetry's SDK: its logging handler, the batch processor with its defaults, OTLP over HTTP."""

from __future__ import annotations

import logging
from pathlib import Path

from tests.bench.peers import BasePeer


class _Peer(BasePeer):
    """LoggingHandler, BatchLogRecordProcessor and OTLPLogExporter."""

    def __init__(self, port: int, folder: Path) -> None:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

        try:
            from opentelemetry.sdk._logs import LoggingHandler
        except ImportError:  # it has moved to a package of its own
            from opentelemetry.instrumentation.logging.handler import LoggingHandler
        self._provider = LoggerProvider()
        exporter = OTLPLogExporter(endpoint=f"http://127.0.0.1:{port}/v1/logs")
        self._provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
        self._log = logging.Logger("train", logging.INFO)
        self._log.addHandler(LoggingHandler(level=logging.INFO, logger_provider=self._provider))

    def log(self, number: int) -> None:
        self._log.info("record %07d", number)

    def close(self) -> None:
        self._provider.shutdown()


PEER = _Peer
